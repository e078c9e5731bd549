"""Ranks of several hosts, by a pair of connections between every two. Start at `communicator.py`."""
