"""Who calls, and how much that key may ask.

Stands on nothing of the router but its configuration. Start at `caller.py`.
"""
