"""What a format of tool calls is: a parser, and a description for who has to write in it."""

from dataclasses import dataclass
from typing import Literal, Protocol

from raylax.proto.parsers.base import OutputParser
from raylax.proto.parsers.tools.offered import OfferedTools


@dataclass(frozen=True, slots=True)
class PairFormat:
    """How an argument is written where arguments are no JSON object: its key and its value, texts
    as they are and other values as JSON."""

    before_key: str
    after_key: str
    after_value: str


@dataclass(frozen=True, slots=True)
class CallFormat:
    """How calls are written: literal text around their names and arguments. A parser reads more
    than this; what is written so, it reads."""

    before_name: str
    after_name: str
    after_arguments: str
    first: str = ""
    """Before the first call."""
    between: str = ""
    """After a call that is not the last one."""
    last: str = ""
    """After the last call."""
    before_text: str = ""
    """Before what is said that is no call."""
    arguments: Literal["json", "pairs", "python"] = "json"
    """A JSON object; pairs, one after another; or Python's keyword arguments, with commas."""
    pairs: PairFormat | None = None
    """How each pair is written."""
    special: tuple[str, ...] = ()
    """Of this text what may be special tokens of the model: where its tokenizer has them, they must
    be written as those. None of them stands in an argument."""

    @property
    def quotes_names(self) -> bool:
        """Whether a name is a text of JSON."""
        return self.before_name.endswith('"')


class ToolParserKind(Protocol):
    """A format in which models write tool calls."""

    @property
    def MARKS(self) -> tuple[str, ...]:
        """What it looks for: shown to it as text also where they are special tokens."""
        ...

    @property
    def FORMAT(self) -> CallFormat: ...

    def __call__(self, tools: OfferedTools) -> OutputParser: ...
