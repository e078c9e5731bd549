"""The CUDA backend: a step as launches of our own kernels, compiled ahead of time.

Stands on `checkpoints` and `families`; of `cpu` it has `rounding.py` alone, for it is the CPU that
packs. Start at `build.py`, then `step/model.py`.
"""
