"""Draft heads on a GPU: what they do otherwise than a decoder there (`kernels/cuda/step`).

Start at `program.py`. Which heads there are, and what their files are, is `kernels/heads`' to say.
"""
