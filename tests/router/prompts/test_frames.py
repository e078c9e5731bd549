"""Questions arrive as they were; an answer is believed nothing that it cannot show."""

import json
from array import array

import pytest

from raylax.proto.calls.prompt_work import ChatWork, DecodeWork, ListWork, TextsWork, Work
from raylax.router.prompts.frames import (
    ANSWER,
    QUESTION,
    Answer,
    Question,
    answer_frame,
    answer_of,
    question_frame,
    question_of,
)

CHAT = ChatWork(
    [{"role": "user", "content": "\ud800 \U0001f600"}],
    [{"deep": [{"a": 10**40, "b": 1.5, "c": None, "d": [True]}]}],
    [],
    None,
    {"x": float("inf")},
    True,
    False,
    False,
    True,
    False,
    "messages",
    None,
)


@pytest.mark.parametrize(
    "work",
    [
        CHAT,
        TextsWork(["a", "\udfff"], True, "prompt", 64),
        DecodeWork([1, 2, 3]),
        ListWork(CHAT, 256, True, 1000),
    ],
)
def test_a_question_arrives_as_it_was(work: Work) -> None:
    frame = question_frame(Question(1, work))
    packed = memoryview(frame)[QUESTION.size :]

    assert QUESTION.unpack_from(frame) == (len(packed),)
    assert question_of(packed) == Question(1, work)


def test_an_answer_arrives_as_it_was() -> None:
    answer = Answer([2, 0, 1], ["a warning"], "", "", None, array("I", [7, 8, 9]).tobytes())
    frame = answer_frame(answer)
    head, content = ANSWER.unpack_from(frame)
    begin = ANSWER.size + head

    read = answer_of(frame[ANSWER.size : begin], frame[begin:])
    assert (read, len(frame)) == (answer, begin + content)
    assert [list(ids) for ids in read.ids] == [[7, 8], [], [9]]


@pytest.mark.parametrize(
    "head",
    [
        b"", b"\xff", b"null", b"{}", b"[]", b"[" * 9999, b"5",
        json.dumps([[1.5], [], "", "", None]).encode(),
        json.dumps(["12", [], "", "", None]).encode(),
        json.dumps([{"1": 1}, [], "", "", None]).encode(),
        json.dumps([[1], [1], "", "", None]).encode(),
        json.dumps([[1], "warned", "", "", None]).encode(),
        json.dumps([[1], [], None, "", None]).encode(),
        json.dumps([[1], [], "", {}, None]).encode(),
        json.dumps([[1], [], "", "", 5]).encode(),
        b"[[" + b"1" * 5000 + b'],[],"","",null]',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_none(head: bytes) -> None:
    with pytest.raises(ValueError):
        answer_of(head, b"")


@pytest.mark.parametrize("lengths", [[3], [1], [3, -1], [10**30], []])
def test_lengths_must_be_of_the_content(lengths: list[int]) -> None:
    with pytest.raises(ValueError):
        _ = Answer(lengths, [], "", "", None, bytes(8)).ids
