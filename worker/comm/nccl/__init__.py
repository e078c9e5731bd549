"""GPUs of several ranks, by NCCL. Start at `group.py`; `library.py` is NCCL itself.

It is called by ctypes: six functions of a C interface that has been the same since 2.17, whose
arguments are the addresses and the stream that we have anyway. NVIDIA's `nccl4py` (0.6) would bring
`cuda-core`, its bindings and a second notion of device, stream and buffer, 32 MB and more, and
leave to us what is hard: deadlines, and an end while graphs live.
"""
