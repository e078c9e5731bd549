"""The CUDA backend: a Relax graph, compiled ahead of time, run without a compiler.

Stands on `checkpoints` and `families`; of `cpu` it uses the linker alone. Start at `model.py`, then
`graph.py`.
"""
