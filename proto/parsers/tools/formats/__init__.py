"""A file for each format of tool calls, or for several of one kin; by name, as vLLM has them."""

from raylax.proto.parsers.tools.formats.deepseek import DeepSeekToolParser, PlainDeepSeekToolParser
from raylax.proto.parsers.tools.formats.glm import Glm4ToolParser, Glm45ToolParser
from raylax.proto.parsers.tools.formats.harmony import HarmonyParser
from raylax.proto.parsers.tools.formats.hermes import HermesToolParser
from raylax.proto.parsers.tools.formats.llama3 import Llama3ToolParser
from raylax.proto.parsers.tools.formats.llama4 import Llama4ToolParser
from raylax.proto.parsers.tools.formats.marked_lists import GraniteToolParser, PhiToolParser
from raylax.proto.parsers.tools.formats.mistral import MistralToolParser, NamedMistralToolParser
from raylax.proto.parsers.tools.formats.plain_json import JsonToolParser
from raylax.proto.parsers.tools.formats.python_calls import PythonToolParser
from raylax.proto.parsers.tools.formats.qwen3_coder import Qwen3CoderToolParser
from raylax.proto.parsers.tools.kind import ToolParserKind

TOOL_FORMAT = "hermes"
"""Where nothing says how a model writes its calls."""
AUTO = "auto"
"""In place of a name: what a model's files and its chat template say."""
TOOL_PARSERS: dict[str, ToolParserKind] = {
    "hermes": HermesToolParser,
    "qwen3_coder": Qwen3CoderToolParser,
    "llama3_json": Llama3ToolParser,
    "llama4_pythonic": Llama4ToolParser,
    "mistral": MistralToolParser,
    "mistral_named": NamedMistralToolParser,
    "deepseek_v3": DeepSeekToolParser,
    "deepseek_v31": PlainDeepSeekToolParser,
    "phi4_mini_json": PhiToolParser,
    "granite": GraniteToolParser,
    "glm4": Glm4ToolParser,
    "glm45": Glm45ToolParser,
    "harmony": HarmonyParser,
    "json": JsonToolParser,
    "python": PythonToolParser,
}
