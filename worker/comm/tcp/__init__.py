"""Ranks of several hosts, a pair of connections between every two. Start at `communicator.py`."""
