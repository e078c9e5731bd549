"""Ranks of one host, by memory without a name. Start at `communicator.py`, then `layout.py`."""
