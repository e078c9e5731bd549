"""The CPU backend: one compiled step for every family, its weights packed and mapped.

Stands on `checkpoints` and `families`; never imports `cuda`. Start at `model.py`, then `compile.py`
and `step/step.py`.
"""
