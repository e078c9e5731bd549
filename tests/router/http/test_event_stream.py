"""A stream's lines: what is kept of the last one must not show in the next."""

import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.answers.openai_chunks import ChatShape, CompletionShape
from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent, TextLogprob
from raylax.proto.errors import EngineFailure
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.router.http.event_stream import ResponseHead, event_stream
from raylax.router.http.openai_events import ChunkLines, data

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "n": 2, "seed": 1}
LOGPROB = TextLogprob(b"\xc3", -0.5, ((b"a", -1.0),))
EVENTS = [
    TextEvent(0, "plain"),
    TextEvent(1, ""),
    TextEvent(0, 'quotes " and \\ and \n, \0, \x7f, \u2028'),
    TextEvent(1, "日本 🙂"),
    TextEvent(0, '"\\u0000"'),
    TextEvent(0, "a", logprobs=(LOGPROB,)),
    TextEvent(1, "again"),
    TextEvent(0, "the end", finish_reason="stop"),
    TextEvent(1, "", finish_reason="length"),
]


@pytest.mark.parametrize("kind", ["chat", "completion"])
def test_lines_are_those_of_the_chunks(kind: str, checkpoint: Path) -> None:
    """Whatever is said, by whichever choice, each line is what its event alone would give."""
    frontend = Frontend.load(TextFiles(checkpoint), 'a "model"', 64, random.Random(1))

    def call() -> Call:
        if kind == "chat":
            made = frontend.chat(ChatCompletionRequest.model_validate(ASK))
        else:
            made = frontend.completion(CompletionRequest(prompt="hi", n=2))
        assert isinstance(made.shape, ChatShape | CompletionShape)
        made.shape.id, made.shape.created = "the-id", 1
        return made

    lines, plain = ChunkLines(call()), call()

    assert [lines.of(event) for event in EVENTS] == [data(plain.chunks(one)) for one in EVENTS]


async def test_what_came_together_is_written_together(checkpoint: Path) -> None:
    """One write for the events of one list, and before an error what was said before it."""
    frontend = Frontend.load(TextFiles(checkpoint), "tiny", 64, random.Random(1))
    lines = ChunkLines(frontend.chat(ChatCompletionRequest.model_validate(ASK)))
    error = EngineFailure("its step failed")

    async def events() -> AsyncGenerator[list[TextEvent]]:
        yield EVENTS[:2]
        yield EVENTS[2:5]
        raise error

    head = ResponseHead("the-id")
    head.sent = True
    parts = [part async for part in event_stream(lines, events(), head)]

    assert [part.count(b"data: ") for part in parts] == [2, 3, 2]
    assert parts[-1] == lines.failure(error)
