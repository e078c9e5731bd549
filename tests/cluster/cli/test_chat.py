"""`raylax chat` with a real model behind it: a talk, refusals, a server that goes away."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from rich.console import Console

from raylax.cluster.cli.chat import parse, talk
from raylax.cluster.errors import UserError
from tests.support.router_rig import Rig, running_router, until


class Typed:
    """What somebody types, line by line; between two lines something may happen."""

    def __init__(self, *lines: str | Callable[[], None]) -> None:
        self._lines = list(lines)

    def __call__(self, prompt: str = "") -> str:
        while self._lines:
            line = self._lines.pop(0)
            if isinstance(line, str):
                return line
            line()
        raise EOFError


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, worker_patience_s=0.3) as made:
        yield made


@pytest.fixture
def type_(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def typed(*lines: str | Callable[[], None]) -> None:
        monkeypatch.setattr("builtins.input", Typed(*lines))

    return typed


async def talked(url: str, system: str | None = None, temperature: float | None = 0) -> str:
    out = io.StringIO()
    console = Console(file=out, width=80, color_system=None)
    await asyncio.to_thread(talk, url, system, temperature, console)
    return out.getvalue()


async def test_a_talk(rig: Rig, type_: Callable[..., None]) -> None:
    """Each answer is shown; an empty line asks nothing; the end of input ends it."""
    type_("hi", "", "and now?")
    said = await talked(f"{rig.url}/v1")

    assert said.startswith("talking to tiny; Ctrl-D ends\n")
    assert said.count("> ") == 4
    assert "chat/completions" not in said
    assert all(len(part) > 10 for part in said.split("> ")[1::2])


async def test_the_model_hears_what_was_said_before(rig: Rig, type_: Callable[..., None]) -> None:
    """The second question's prompt holds the first, its answer and the system's message."""
    type_("hi")
    await talked(rig.url, system="be brief")
    short = rig.workers[0].engine.load().prompt_tokens
    type_("hi", "hi")
    await talked(rig.url, system="be brief")
    both = rig.workers[0].engine.load().prompt_tokens - short

    assert both > 3 * short


async def test_a_refusal_is_shown_and_the_talk_goes_on(
    rig: Rig, type_: Callable[..., None]
) -> None:
    """In the server's words; the question is taken back."""
    type_("x" * 300, "hi")
    said = await talked(rig.url)
    refused, answered = said.split("> ")[1:3]

    assert "the limit is" in refused
    assert "the limit is" not in answered
    assert len(answered) > 10


async def test_a_worker_that_goes_away_in_the_middle(rig: Rig, type_: Callable[..., None]) -> None:
    """What was said stays, with the reason why no more comes."""
    worker, loop = rig.workers[0], asyncio.get_running_loop()
    worker.hold(steps=3)
    type_("hi")
    talking = asyncio.create_task(talked(rig.url))
    await until(lambda: any(e.emitted for e in rig.service.journal._entries.values()))
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(worker.die(), loop))
    said = await talking
    worker.let_go()

    assert "worker" in said.splitlines()[-2]


async def test_a_server_without_a_worker(rig: Rig, type_: Callable[..., None]) -> None:
    await rig.workers[0].die()
    await until(lambda: not rig.router.ready)
    type_("hi")

    assert "no worker" in await talked(rig.url)


async def test_nobody_is_there() -> None:
    with pytest.raises(UserError, match="no raylax answers at http://127.0.0.1:9"):
        await talked("http://127.0.0.1:9")


@pytest.mark.parametrize("line", ["", ": ping", "data: [DONE]", "event: x"])
def test_what_is_no_event(line: str) -> None:
    assert parse(line) is None
