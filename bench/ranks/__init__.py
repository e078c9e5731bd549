"""Pairs of ranks that sum an array, as `bench/allreduce.py` measures them.

`base.py`: what is measured. `inside.py`: a pair as a process that answers, which an
`engines.child.Child` asks. `ours.py`, `gloo.py`, `rays.py`: what its two ranks call.
"""
