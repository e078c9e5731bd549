"""A call: the requests it becomes, and what their tokens come to as text, tool calls and vectors.

Stands on `openai` for what is asked and on `text` and `parsers`. Start at `call.py`.
"""
