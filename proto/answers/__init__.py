"""Writes the answer to a call in the form of each API.

Stands on `calls` and on the schemas of `openai` and `anthropic`. Start at `writer.py`.
"""
