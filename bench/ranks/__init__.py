"""Pairs of ranks that sum an array, as `bench/allreduce.py` measures them.

`base.py`: what is measured. `near.py`: a pair as the benchmark sees it, a process that answers.
`inside.py`: that process. `ours.py`, `gloo.py`, `rays.py`: what its two ranks call.
"""
