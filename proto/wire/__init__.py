"""What processes of a cluster say to each other: frames, and messages from and to our nouns.

Stands on `pb` and `vocabulary`. Start at `messages.py`.
"""
