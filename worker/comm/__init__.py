"""How the ranks of one engine exchange tensors.

`base.py` is the contract. Those who fulfil it:

| file | ranks are | by way of |
|---|---|---|
| `threads.py` | threads of one process | ordinary memory |
| `memory.py` on `shared.py` | processes of one host | memory without a name |
| `tcp.py` | processes of several hosts | a pair of connections between every two |
| `nccl.py` | processes with a GPU each | NCCL |

`layout.py`, `waiting.py` and `mailbox.py` belong to memory; `door.py`, `handshake.py`,
`rendezvous.py`, `link.py` and `transfer.py` to TCP; `cuda.py`, `dlpack.py` and `nccl_library.py` to
NCCL. `objects.py` carries Python objects over any that takes numpy's arrays. Ray's collectives over
them are in `raylax.worker.comm.ray_backend`.
"""
