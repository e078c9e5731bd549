"""Server-sent events of an answer: the bytes around them, and which are written together."""

import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from raylax.proto.answers.openai_chat import ChatWriter
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import EngineFailure
from raylax.proto.frontend import Frontend
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.text.files import TextFiles
from raylax.router.http.event_stream import ResponseHead, event_stream, server_sent
from raylax.router.prompts.parse_pool import ParsePool
from raylax.router.resume.kept_responses import KeptResponses

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "n": 2, "seed": 1}
EVENTS = [TextEvent(0, "a"), TextEvent(1, "b"), TextEvent(0, "c"), TextEvent(1, "d"), TextEvent(0)]


def test_an_event_is_lines_and_an_empty_one() -> None:
    """Its type is there if it has one."""
    assert server_sent([("", b"[1]"), ("ping", b"{}")]) == (
        b"data: [1]\n\nevent: ping\ndata: {}\n\n"
    )
    assert server_sent([]) == b""


async def test_what_came_together_is_written_together(checkpoint: Path) -> None:
    """One write for the events of one list, and before an error what was said before it."""
    frontend = Frontend.load(TextFiles(checkpoint), "tiny", 64, random.Random(1))
    writer = ChatWriter(frontend.chat(ChatCompletionRequest.model_validate(ASK)), "tiny", 1)
    error = EngineFailure("its step failed")

    async def events() -> AsyncGenerator[list[TextEvent]]:
        yield EVENTS[:2]
        yield EVENTS[2:5]
        raise error

    head = ResponseHead("the-id")
    head.sent = True
    kept = KeptResponses(60, 1, 1)
    parts = [part async for part in event_stream(writer, events(), head, ParsePool(), kept)]

    assert [part.count(b"data: ") for part in parts] == [2, 3, 2]
    assert parts[-1] == server_sent(writer.failed(error))
