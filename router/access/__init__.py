"""Who calls, and how much that key may ask.

Stands on `observe`. Start at `caller.py`, which is what `authentication.py` finds out.
"""
