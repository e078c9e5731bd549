"""The kernels of a step on a GPU, in Triton's language.

Imported by what compiles them and by tests, which run them without a GPU; never where they run: a
worker loads their machine code. Start with `matmul.py`. Functions here are compiled, not called, so
they have no annotations but for what is known at compile time (`tl.constexpr`).

All of them keep law 1 by the same rules: a row is computed by one order of operations, whatever
the tile, the batch and the division among programs. Sums along K go upwards in one accumulator of
the matrix unit, in segments that belong to the weight; sums across threads are of integers, or in
one layout that is checked in the machine code; `a * b + c` is rounded twice (fusing is off).
"""
