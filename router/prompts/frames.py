"""What a router and a process that makes prompts tell each other, over a pair of sockets.

A question is what we made ourselves, and goes as Python's own bytes for plain values. An answer
comes from where a stranger's programs run: it is JSON of a few fields, and bytes beside it.
"""

import json
import marshal
import struct
from array import array
from typing import Any, NamedTuple

from raylax.proto.calls.prompt_work import ChatWork, DecodeWork, ListWork, TextsWork, Work
from raylax.proto.grammar.constraint import Constraint

QUESTION = struct.Struct("<I")
"""Bytes that follow."""
ANSWER = struct.Struct("<II")
"""Bytes of the JSON that follows, and of what comes after it."""
LONGEST_HEAD = 1 << 16
KINDS: tuple[type[Any], ...] = (ChatWork, TextsWork, DecodeWork, ListWork, Constraint)
ID = "I"


class Question(NamedTuple):
    """What is asked of a process."""

    model: int
    """Its place among the router's models."""
    work: Work


def question_frame(question: Question) -> bytes:
    """The question as bytes. Raises ValueError for values nested deeper than any JSON of ours."""
    packed = marshal.dumps((question.model, packed_work(question.work)))
    return QUESTION.pack(len(packed)) + packed


def question_of(packed: memoryview) -> Question:
    """The question in a frame without its head."""
    model, work = marshal.loads(packed)
    return Question(model, unpacked_work(work))


def packed_work(work: Work) -> tuple[Any, ...]:
    """Plain tuples, which marshal knows."""
    values = (packed_work(work.of), *work[1:]) if isinstance(work, ListWork) else tuple(work)
    return (KINDS.index(type(work)), *values)


def unpacked_work(packed: tuple[Any, ...]) -> Work:
    kind, values = KINDS[packed[0]], packed[1:]
    if kind is ListWork:
        values = (unpacked_work(values[0]), *values[1:])
    work: Work = kind(*values)
    return work


class Answer(NamedTuple):
    """What a process has made, or why it has not."""

    lengths: list[int]
    """Ids of each prompt."""
    warnings: list[str]
    error: str
    """A kind of error; empty: there is none."""
    message: str
    param: str | None
    content: bytes
    """The ids of all prompts, one after another; or the bytes that were asked for."""

    @property
    def ids(self) -> "list[array[int]]":
        """The ids of each prompt. Raises ValueError where the lengths are not of the content."""
        all_ids: array[int] = array(ID)
        all_ids.frombytes(self.content)
        if sum(self.lengths) != len(all_ids) or any(one < 0 for one in self.lengths):
            raise ValueError(f"{len(all_ids)} ids are not {self.lengths[:8]}")
        found, at = [], 0
        for length in self.lengths:
            found.append(all_ids[at : at + length])
            at += length
        return found


def answer_frame(answer: Answer) -> bytes:
    """The answer as bytes."""
    head = json.dumps(answer[:-1]).encode()
    return ANSWER.pack(len(head), len(answer.content)) + head + answer.content


def answer_of(head: bytes, content: bytes) -> Answer:
    """The answer in a frame. Raises ValueError for what is none, whatever it is."""
    try:
        lengths, warnings, error, message, param = json.loads(head)
    except (RecursionError, TypeError) as wrong:
        raise ValueError(str(wrong)) from None
    fits = (
        all(type(one) is int for one in lengths if isinstance(lengths, list))
        and isinstance(lengths, list)
        and isinstance(warnings, list)
        and all(isinstance(one, str) for one in (*warnings, error, message))
        and isinstance(param, str | None)
    )
    if not fits:
        raise ValueError("an answer has other fields")
    return Answer(lengths, warnings, error, message, param, content)
