"""What a chat template and a tokenizer are asked for, as plain values.

Both are a stranger's: the template is a program, and the tokenizer has patterns that may look for
ever. So this can be handed to another process, which is ended when it takes too long.
"""

from typing import Any, NamedTuple

from raylax.proto.grammar.constraint import Constraint


class ChatWork(NamedTuple):
    """The prompt of a chat, as token ids."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    documents: list[dict[str, Any]]
    template: str | None
    """Its name."""
    told: dict[str, Any]
    """More variables for it."""
    begin_turn: bool
    continue_last: bool
    special_tokens_in_content: bool
    add_special_tokens: bool
    tools_must_show: bool
    """Whether tools are refused that the template does not show; else there is a warning."""
    field: str
    """Of the body, where a client finds what an error is about."""
    longest: int | None
    """Tokens of a sequence, of which the prompt leaves one; None: however many."""


class TextsWork(NamedTuple):
    """Texts, as token ids."""

    texts: list[str]
    add_special_tokens: bool
    field: str
    longest: int | None


class DecodeWork(NamedTuple):
    """Token ids, as their text."""

    ids: list[int]


PromptWork = ChatWork | TextsWork


class ListWork(NamedTuple):
    """The tokens of one prompt, written as `TokenizeResponse` is."""

    of: PromptWork
    max_model_len: int
    names: bool
    """Whether the tokens are named, too."""
    most_bytes: int
    """Of the answer."""


Work = PromptWork | DecodeWork | ListWork | Constraint
"""Of a constraint the grammar is wanted, once it was checked."""


def texts_in(given: list[str] | list[list[int]]) -> list[str]:
    """The texts of a field that has texts, or token ids of texts."""
    return [one for one in given if isinstance(one, str)]


def ids_in(given: list[str] | list[list[int]]) -> list[list[int]]:
    """The token ids of such a field."""
    return [one for one in given if not isinstance(one, str)]
