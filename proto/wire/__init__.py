"""What processes of a cluster say to each other: frames, and the nouns of `vocabulary` as messages.

Stands on `pb` and `vocabulary`. Start at `messages.py`.
"""
