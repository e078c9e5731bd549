"""What generated text means: tool calls, by the format of a model's family.

Imports nothing of ours but errors. Start at `base.py`.
"""
