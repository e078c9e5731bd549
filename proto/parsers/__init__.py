"""What generated text means: tool calls, by the format of a model's family. A file for each format.

Imports nothing else of ours. Start at `base.py`.
"""

from raylax.proto.parsers.base import ToolParserKind
from raylax.proto.parsers.hermes import HermesToolParser

TOOL_PARSERS: dict[str, ToolParserKind] = {"hermes": HermesToolParser}
"""Parsers of tool calls, by name."""
