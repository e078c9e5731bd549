"""GPUs of several ranks, by NCCL. Start at `group.py`; `library.py` is NCCL itself.

Why it is called by ctypes stands in worker/README.md, "Several ranks".
"""
