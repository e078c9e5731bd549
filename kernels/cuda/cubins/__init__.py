"""Machine code for GPUs, made on any machine: no GPU, driver or toolkit is needed, but Triton.

A variant (`cuda/variants`) is compiled in a process of its own, what came out is read, and refused
where it breaks a rule of its chip; what passes lies in the store. A worker loads it without Triton.
Start with `build.py`, then `rules.py`.
"""
