"""The CUDA backend: a Relax graph, compiled ahead of time, run without a compiler.

Stands on `checkpoints` and `families`; never imports `cpu`. Start at `model.py`, then
`graph.py`.
"""
