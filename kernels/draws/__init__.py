"""How a token is drawn from logits: one definition for all backends, which is a part of law 1.

`definition.py` is the law itself; `operators.py` runs the same functions on arrays of numpy, and
lends them to others (Triton's kernels, in `kernels/cuda/source/sampler.py`).
"""
