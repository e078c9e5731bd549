"""Parsers of tool calls. Start at `kind.py`, then `scanning.py`; the formats have a room."""
