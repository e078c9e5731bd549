"""Chunks: what is kept of the last one must not show in the next."""

import random
import threading
import time
from collections.abc import Callable
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
from raylax.proto.vocabulary import Delta, Finish, TokenLogprobs

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


def longest_wait_s(work: Callable[[], object]) -> float:
    """For how long another thread could not run while one worked."""
    working = threading.Thread(target=work)
    working.start()
    longest, last = 0.0, time.monotonic()
    while working.is_alive():
        time.sleep(0.001)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest


def test_a_whole_answer_lets_others_run(checkpoint: Path) -> None:
    """However many log-probabilities it has. The best of three: others use this machine, too."""
    frontend = Frontend.load(TextFiles(checkpoint), "tiny", 8192, random.Random(1))
    asked = {**ASK, "n": 1, "logprobs": True, "top_logprobs": 20}
    call = frontend.chat(ChatCompletionRequest.model_validate(asked))
    (request,) = call.requests
    top = TokenLogprobs(-0.5, tuple((token, -1.0) for token in range(65, 85)))
    call.feed(Delta(request.id, (65,) * 4000, (top,) * 4000, finish=Finish.LENGTH))
    writer = ChatWriter(call, "tiny", 1)

    assert min(longest_wait_s(writer.whole) for _ in range(3)) < 0.05
