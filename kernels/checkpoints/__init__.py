"""A model's files: found by name, checked, read a tensor at a time.

Stands on `families`, which say what must be there. Start at `base.py`, then `readers.py`.
"""
