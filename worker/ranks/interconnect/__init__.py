"""How the ranks of an engine reach each other. Start at `base.py`.

A rank has two ways to others. The group of all ranks carries what Python says: pieces of a step
from stage to stage, pages, debug calls. By the other one, its seat, the shards of its stage meet
inside the step: `compiled.py` for CPUs, `gpus.py` for GPUs.
"""
