"""Which machine code there is: kernels, and the tiles, chips and sizes that they are made for.

Known without Triton, for a worker chooses among them at every step. A choice may change the speed
and never a bit, for all variants of a kernel sum in one order. Start with `base.py`.
"""
