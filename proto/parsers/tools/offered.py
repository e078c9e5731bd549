"""The functions that may be called, and the ids of the calls of one choice."""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from raylax.proto.parsers.base import CallBegun

NAME = re.compile(r"[^\s<>{}\[\]()\"',=\\\x00-\x1f\x7f]*")
"""Of a function, or of an argument, where nothing but a mark ends it."""
LONGEST_NAME = 256
"""Characters: what is longer is no name of a function."""


def is_name(text: str) -> bool:
    """Whether every format can write, and read, a function of this name."""
    return 0 < len(text) <= LONGEST_NAME and NAME.fullmatch(text) is not None


class CallIds:
    """Ids of the calls of one choice: they follow from its name, so that a replay gives the same.
    OpenAI allows 40 characters; some templates want exactly nine letters and digits."""

    def __init__(self, name: str, nine: bool = False) -> None:
        self._name, self._nine = name, nine

    def __call__(self, index: int) -> str:
        digest = sha256(f"{self._name}_{index}".encode()).hexdigest()
        return digest[:9] if self._nine else f"call_{digest[:24]}"


class OfferedTools:
    """What one choice may call. Counts its calls."""

    def __init__(self, ids: CallIds, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        """`schemas`: by the name of each function what its arguments are, in JSON Schema."""
        self._ids, self._schemas, self._count = ids, schemas, 0

    def __contains__(self, name: str) -> bool:
        return name in self._schemas

    def schema(self, name: str) -> Mapping[str, Any]:
        """Of the arguments of a function that is offered."""
        return self._schemas[name]

    def begin(self, name: str) -> CallBegun:
        """The next call."""
        self._count += 1
        return CallBegun(self._count - 1, self._ids(self._count - 1), name)
