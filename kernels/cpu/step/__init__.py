"""The decoder step, emitted as two functions: its blocks in the order of a layer.

Stands on `formats` and `tir`. Start at `step.py`.
"""
