"""Checkpoints whose weights were quantised by others: what is kept beside what, and what it means.

A scheme finds the parts of each weight among a checkpoint's tensors, and puts one tensor in their
place, which is f32 when it is read. Start at `base.py`.
"""
