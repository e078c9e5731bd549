"""How the ranks of one engine exchange tensors.

`base.py` is the contract; a folder fulfils it in each of two ways, a third one gathers on GPUs
(`raylax.kernels.model.DeviceGroup`), and none imports another:

| folder | ranks are | by way of |
|---|---|---|
| `shared_memory/` | processes of one host, or threads of a process | memory without a name |
| `tcp/` | processes of several hosts | a pair of connections between every two |
| `nccl/` | processes with a GPU each | NCCL |

Below them are `arrays.py`, `deadline.py`, `errors.py` and `spin_wait.py`. `objects.py` carries
Python objects over any group that takes numpy's arrays. Above them is `ray_backend.py`: the groups
as backends of Ray's collectives, and the only file here that imports Ray.
"""
