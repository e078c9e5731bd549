"""The model of an engine: how it is loaded, what it can be asked, how it is let go and comes back.

Knows nothing of commands and of who listens. Start at `slot.py`, then `loading.py`.
"""
