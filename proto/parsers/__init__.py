"""What generated text means: tool calls and thoughts, by the format of a model's family.

Imports nothing else of ours. Start at `base.py`; a parser is written as a reader of a `Source`.
"""
