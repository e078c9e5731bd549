"""`raylax chat` with a real model behind it: a talk, refusals, a server that goes away."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console

from raylax.cluster.address import client_of
from raylax.cluster.cli.answers import answer, parse
from raylax.cluster.cli.chat import COMMAND, HELP, Talk, obey, talk
from raylax.cluster.cli.printing import printable
from raylax.cluster.cli.questions import Questions, editor, lines
from raylax.cluster.errors import UserError
from tests.support.cluster_answering import Answering
from tests.support.router_rig import Rig, running_router, until


def typed(*lines: str) -> Questions:
    """What somebody types, line by line."""
    left = list(lines)
    return lambda: left.pop(0) if left else None


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint, worker_patience_s=0.3) as made:
        yield made


async def talked(url: str, *lines: str, **options: Any) -> str:
    """What is on the terminal after these lines were typed there."""
    out = io.StringIO()
    console = Console(file=out, width=80, color_system=None)
    await asyncio.to_thread(talk, url, typed(*lines), console, **{"temperature": 0, **options})
    return out.getvalue()


async def test_a_talk(rig: Rig) -> None:
    """Each answer is shown; an empty line asks nothing; the end of input ends it."""
    greeting, *answers = (await talked(f"{rig.url}/v1", "hi", "", "and now?")).splitlines()

    assert greeting == "talking to tiny; /help says what can be typed, Ctrl-D ends"
    assert len("".join(answers)) > 20


async def test_the_model_hears_what_was_said_before(rig: Rig) -> None:
    """The second question's prompt holds the first, its answer and the system's message; /clear
    forgets all but the last."""

    async def prompt_tokens(*lines: str) -> int:
        before = rig.workers[0].engine.load().prompt_tokens
        await talked(rig.url, *lines, system="be brief")
        return rig.workers[0].engine.load().prompt_tokens - before

    once = await prompt_tokens("hi")

    assert await prompt_tokens("hi", "hi") > 3 * once
    assert await prompt_tokens("hi", "/clear", "hi") == 2 * once
    assert await prompt_tokens("/system be brief", "hi") == once
    assert await prompt_tokens("/system", "hi") < once


async def test_a_refusal_is_shown_and_the_talk_goes_on(rig: Rig) -> None:
    """In the server's words; the question is taken back."""
    said = await talked(rig.url, "x" * 300, "hi")
    _, refused, answered = said.split("\n", 2)

    assert "the limit is" in refused
    assert "the limit is" not in answered
    assert len(answered) > 10


async def test_a_worker_that_goes_away_in_the_middle(rig: Rig) -> None:
    """What was said stays, with the reason why no more comes."""
    worker, loop = rig.workers[0], asyncio.get_running_loop()
    worker.hold(steps=3)
    talking = asyncio.create_task(talked(rig.url, "hi"))
    await until(lambda: any(e.emitted for e in rig.service.journal._entries.values()))
    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(worker.die(), loop))
    said = await talking
    worker.let_go()

    assert "worker" in said.splitlines()[-1]


async def test_a_server_without_a_worker(rig: Rig) -> None:
    await rig.workers[0].die()
    await until(lambda: not rig.router.ready)

    assert "no worker" in await talked(rig.url, "hi")


async def test_nobody_is_there() -> None:
    with pytest.raises(UserError, match="no raylax answers at http://127.0.0.1:9"):
        await talked("http://127.0.0.1:9")


async def test_what_can_be_typed(rig: Rig) -> None:
    said = await talked(rig.url, "/help", "/model", "/model other", "/nonsense", "/exit", "hi")

    assert said.splitlines()[1:] == [
        *HELP.splitlines(),
        "tiny, of tiny",
        "no model named other; there is tiny",
        "no command /nonsense; /help says which there are",
    ]


def test_the_model_that_was_chosen_is_asked() -> None:
    """From the next question on; one that is not there changes nothing."""
    now, console = Talk("", ["one", "two"], "one", None, None), Console(file=io.StringIO())
    asked = [now.body("x")["model"]]
    for name in ("two", "three", "one"):
        with suppress(UserError):
            assert obey(now, "model", name, console)
        asked.append(now.body("x")["model"])

    assert asked == ["one", "two", "two", "one"]


@pytest.mark.parametrize("rest", ["be brief", ""])
def test_a_system_message_begins_anew(rest: str) -> None:
    now, console = Talk("", ["one"], "one", "old", None), Console(file=io.StringIO())
    now.said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    obey(now, "system", rest, console)

    roles = [message["role"] for message in now.body("x")["messages"]]
    assert roles == (["system", "user"] if rest else ["user"])


async def test_a_model_that_is_not_there(rig: Rig) -> None:
    with pytest.raises(UserError, match="no model named other; there is tiny"):
        await talked(rig.url, model="other")


@pytest.mark.parametrize("path", ["/usr/bin is what?", " /help", "/help\tme\nplease /no"])
def test_what_is_no_command(path: str) -> None:
    """Only a known word right after a slash is one, or a word that looks like one."""
    assert (COMMAND.match(path) is None) == (not path.startswith("/help"))


MODELS = {"data": [{"id": "one"}, {"id": "two"}]}


def piece(text: str, reason: str | None = None) -> str:
    choice = {"delta": {"content": text}, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


async def test_several_models_are_named_when_none_was_asked_for() -> None:
    app = Answering(200, "application/json", json.dumps(MODELS))
    with app.running() as url:
        assert "there is one, two: --model or /model chooses" in await talked(url)
        assert "there is" not in await talked(url, model="two")


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (Answering(200, "text/html", "<html>hello</html>"), "something else does, with status 200"),
        (Answering(502, "text/html", "<html>hello</html>"), "something else does, with status 502"),
        (
            Answering(401, "text/html", "who?"),
            "wants an API key: put one that it knows in",
        ),
        (Answering(500, "application/json", '{"error": {"message": "no, sorry"}}'), "no, sorry"),
        (Answering(200, "text/event-stream", "data: {nonsense"), "is not what raylax says"),
        (Answering(200, "text/event-stream", 'data: {"a": 1}'), "is not what raylax says"),
        (Answering(200, "text/event-stream", piece("he")), "went away in the middle of the answer"),
        (Answering(200, "text/event-stream", piece("he"), cut=True), "went away in the middle of"),
    ],
)
def test_no_answer_is_a_sentence(
    app: Answering, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAYLAX_API_KEY", raising=False)
    with (
        app.running() as url,
        client_of(url, httpx.Timeout(5)) as client,
        pytest.raises(UserError, match=said),
    ):
        list(answer(client, url, {}))


def test_an_answer_commands_no_terminal() -> None:
    """Control characters are left out, and halves of a pair are replaced."""
    assert printable("a\x1b[2J\x9b\r\nb\tc\ud83d") == "a[2J\nb\tc?"


def test_pasted_lines_are_one_question() -> None:
    """And those before can be called back, edited; Ctrl-D ends."""
    with create_pipe_input() as keys:
        read = editor(input=keys, output=DummyOutput())
        keys.send_text("\x1b[200~one\r\ntwo\nthree\x1b[201~\r")
        assert read() == "one\ntwo\nthree"
        keys.send_text("plain\r")
        assert read() == "plain"
        keys.send_text("\x1b[A!\r")
        assert read() == "plain!"
        keys.send_text("a\x1b\rb\r")
        assert read() == "a\nb"
        keys.send_text("half\x03")
        with pytest.raises(KeyboardInterrupt):
            read()
        keys.send_text("\x04")
        assert read() is None


def test_from_a_pipe_each_line_is_a_question() -> None:
    """Whatever its bytes are."""
    read = lines(io.TextIOWrapper(io.BytesIO(b"one\n\xfftwo\n\nend"), "utf-8"))

    assert [read() for _ in range(5)] == ["one", "\ufffdtwo", "", "end", None]


@pytest.mark.parametrize("line", ["", ": ping", "data: [DONE]", "event: x"])
def test_what_is_no_event(line: str) -> None:
    assert parse(line) is None
