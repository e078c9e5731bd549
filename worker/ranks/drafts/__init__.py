"""The model that drafts for an engine's own: found, sized, loaded. It runs on rank 0 alone.

Start at `base.py`, then `modes.py`.
"""
