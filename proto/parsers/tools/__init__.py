"""Parsers of tool calls: a file for each format. Start at `kind.py`, then `scanning.py`."""

from raylax.proto.parsers.tools.hermes import HermesToolParser
from raylax.proto.parsers.tools.kind import ToolParserKind
from raylax.proto.parsers.tools.python_calls import PythonToolParser

TOOL_PARSERS: dict[str, ToolParserKind] = {"hermes": HermesToolParser, "python": PythonToolParser}
"""By name."""
