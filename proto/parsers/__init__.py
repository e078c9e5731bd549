"""What generated text means: tool calls, by the format of a model's family. A file for each format.

Imports nothing else of ours. Start at `base.py`.
"""

from raylax.proto.parsers.base import ToolParserKind
from raylax.proto.parsers.hermes import HermesToolParser
from raylax.proto.parsers.python_calls import PythonToolParser

TOOL_PARSERS: dict[str, ToolParserKind] = {"hermes": HermesToolParser, "python": PythonToolParser}
"""Parsers of tool calls, by name."""
