"""Chunks: what is kept of the last one must not show in the next."""

import random
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.answers.openai_chunks import ChunkWriter, written_out
from raylax.proto.answers.openai_completion import CompletionWriter
from raylax.proto.calls.events import TextEvent, TextLogprob
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.text.files import TextFiles

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
def test_events_are_those_of_the_chunks(kind: str, checkpoint: Path) -> None:
    """Whatever is said, by whichever choice, each is what its event alone would give."""
    frontend = Frontend.load(TextFiles(checkpoint), 'a "model"', 64, random.Random(1))
    if kind == "chat":
        call = frontend.chat(ChatCompletionRequest.model_validate(ASK))
    else:
        call = frontend.completion(CompletionRequest(prompt="hi", n=2))

    def writer() -> ChunkWriter:
        made = ChatWriter if kind == "chat" else CompletionWriter
        return made(call, frontend.name, 1)

    quick, plain = writer(), writer()

    assert [list(quick.add(event)) for event in EVENTS] == [
        written_out(plain.chunks(event)) for event in EVENTS
    ]
