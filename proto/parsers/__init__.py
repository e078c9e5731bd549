"""What generated text means: tool calls, by the format of a model's family. A file for each format.

Imports nothing else of ours. Start at `base.py`.
"""

from collections.abc import Callable

from raylax.proto.parsers.base import OutputParser
from raylax.proto.parsers.hermes import HermesToolParser

TOOL_PARSERS: dict[str, Callable[[str], OutputParser]] = {"hermes": HermesToolParser}
"""Makers of parsers for tool calls, by name. Each is given what the ids of its calls begin with."""
