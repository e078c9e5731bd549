"""What generated text turns out to be, and what a parser of it is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Thought:
    """A part of what the model thinks before it speaks."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A call of a function that the client has offered; its arguments are being written."""

    index: int
    """Its place among the calls of its choice, from 0."""
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallPiece:
    """More of a call's arguments. Those of one call, joined, are a JSON object once it has ended,
    and no JSON at all before: their last brace is said with the end."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is whole."""

    index: int


@dataclass(frozen=True, slots=True)
class CallBroken:
    """It was no call after all: what followed was not in its form, or the model ended within it.
    Who has been told of it has its arguments without their end."""

    index: int
    written: str
    """All that the model wrote of it so far: that is text, and what follows goes on with it."""


@dataclass(frozen=True, slots=True)
class CallCut:
    """The answer ended within the call, for it may not be longer: its arguments have no end."""

    index: int


CallNews: TypeAlias = CallBegun | CallPiece | CallEnded | CallBroken | CallCut
Content: TypeAlias = str | Thought | CallNews
"""What a part of an answer turned out to be: text, for the reader or the next parser, a thought, or
news of a call. A list has them in the order in which they were said; calls do not overlap."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A whole call of a function that the client has offered."""

    id: str
    index: int
    name: str
    arguments: str
    """JSON, as OpenAI's API has it."""
    cut: bool = False
    """Whether that is only its beginning: the answer may not be longer."""


Said: TypeAlias = str | Thought | ToolCall
"""The same of an answer that is whole."""


def joined(contents: Iterable[Content]) -> tuple[Content, ...]:
    """The same, with texts, thoughts or pieces that follow each other made one, and none empty."""
    out: list[Content] = []
    for kind, group in groupby(contents, type):
        match list(group):
            case [str(), *_] as texts:
                out.append("".join(map(str, texts)))
            case [Thought(), *_] as thoughts:
                out.append(Thought("".join(one.text for one in thoughts if type(one) is Thought)))
            case [CallPiece(index), *_] as pieces:
                written = (one.arguments for one in pieces if type(one) is CallPiece)
                out.append(CallPiece(index, "".join(written)))
            case others:
                assert kind is not CallPiece
                out += others
    return tuple(one for one in out if one not in ("", Thought("")))


def cut(held: Iterable[Content], only_calls: bool) -> Iterator[Content]:
    """What was held back at the end of an answer that may not be longer: the call that is open is
    not broken, and what was read of its next value is no text. Nor is the beginning of a call,
    where there are `only_calls`."""
    for one in held:
        if isinstance(one, CallBroken):
            yield CallCut(one.index)
            return
        if not (only_calls and isinstance(one, str)):
            yield one


def whole(contents: Iterable[Content]) -> tuple[Said, ...]:
    """What an answer comes to that has ended: calls in one piece, and what was none as text."""
    out: list[Content | ToolCall] = []
    call, pieces = CallBegun(0, "", ""), list[str]()
    for one in contents:
        match one:
            case CallBegun():
                call, pieces = one, []
            case CallPiece():
                pieces.append(one.arguments)
            case CallEnded() | CallCut():
                written, cut = "".join(pieces), isinstance(one, CallCut)
                out.append(ToolCall(call.id, call.index, call.name, written, cut))
            case CallBroken():
                out.append(one.written)
            case _:
                out.append(one)
    return tuple(merged(out))


def merged(said: Iterable[Content | ToolCall]) -> Iterable[Said]:
    """With texts made one that came to stand beside each other."""
    for kind, group in groupby(said, type):
        listed = list(group)
        if kind is str:
            if text := "".join(map(str, listed)):
                yield text
        elif kind is Thought:
            yield Thought("".join(one.text for one in listed if isinstance(one, Thought)))
        else:
            yield from (one for one in listed if isinstance(one, ToolCall))


class OutputParser(Protocol):
    """Reads the text of one choice as it streams, piece by piece and in order.

    Laws: what only looks like more than text is given back as text, but for what was told as a call
    before it broke; text is held back only while it may yet be more; the pieces in which it comes
    make no difference; the same text gives the same, ids included, so that an answer can be
    replayed.
    """

    @property
    def done(self) -> bool:
        """Whether it gives back all that follows as it is."""
        ...

    @property
    def thinking(self) -> bool:
        """Whether what it reads now is a thought."""
        ...

    def add(self, text: str) -> list[Content]:
        """What is certain after this piece."""
        ...

    def finish(self) -> list[Content]:
        """What was held back; nothing is added afterwards."""
        ...
