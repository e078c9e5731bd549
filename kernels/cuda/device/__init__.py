"""A GPU from the host: its memory, its streams, machine code and graphs of it.

CUDA's run time by ctypes, and TVM's, which loads machine code and launches it. What a model is
nobody here knows. Start with `cudart.py`.
"""
