"""raylax.Client and raylax.AsyncClient against a real router."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

import raylax
from raylax.proto.client.values import Message, Part, Tool
from raylax.proto.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    Overloaded,
    PromptTooLong,
    Unauthenticated,
    WorkerUnavailable,
)
from raylax.router.access.keys import Key, hash_of
from tests.support.paths import ROOT
from tests.support.router_rig import (
    PATIENCE_S,
    Rig,
    running_router,
    until,
)

README = ROOT / "README.md"


@pytest.fixture
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint) as made:
        yield made


class Wire:
    """Carries bytes between clients and a router, until it is cut."""

    def __init__(self, address: str) -> None:
        self._host, _, self._port = address.rpartition(":")
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.address = ""

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self.cut()
            server.close()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Those that are connected now; they may connect again."""
        self.cuts += 1
        for task in self._tasks:
            task.cancel()

    async def _carry(self, here: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, on = await asyncio.open_connection(self._host, int(self._port))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(pipe(here, on))
                both.create_task(pipe(there, back))
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            for writer in (on, back):
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()


async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(1 << 16):
            target.write(data)
            await target.drain()
    target.close()


async def test_one_call_is_enough(rig: Rig) -> None:
    """Without an event loop of the caller's; the same values as by coroutines."""

    def ask() -> tuple[object, ...]:
        with raylax.Client(rig.grpc_address) as client:
            answer = client.chat([{"role": "user", "content": "hi"}], temperature=0, max_tokens=6)
            parts = list(client.stream_chat("hi", temperature=0, max_tokens=6))
            said = client.generate([5, 6, 7], temperature=0, max_tokens=6, top_logprobs=2)
            return answer, parts, said, client.embed(["hi", "ho"]), client.models()

    async with raylax.AsyncClient(rig.grpc_address) as client:
        answer = await client.chat([Message("user", "hi")], temperature=0, max_tokens=6)
        parts = [part async for part in client.stream_chat("hi", temperature=0, max_tokens=6)]
        said = await client.generate([5, 6, 7], temperature=0, max_tokens=6, top_logprobs=2)
        vectors, models = await client.embed(["hi", "ho"]), await client.models()
    plain = await asyncio.to_thread(ask)

    assert answer.text == "".join(part.text for part in parts)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 6
    assert len(said.choices[0].logprobs) == 6
    assert all(len(entry.top) == 2 for entry in said.choices[0].logprobs)
    assert [model.id for model in models] == ["tiny"]
    assert (plain[0].text, plain[0].choices) == (answer.text, answer.choices)  # type: ignore[attr-defined]
    assert texts(plain[1]) == texts(parts)  # type: ignore[arg-type]
    assert plain[2].choices == said.choices  # type: ignore[attr-defined]
    assert plain[3:] == (vectors, models)


def texts(parts: list[Part]) -> str:
    return "".join(part.text for part in parts)


async def test_choices_tools_and_explanations(rig: Rig) -> None:
    """What goes beyond one text."""
    tool = Tool("weather", "of a town", {"type": "object"})
    async with raylax.AsyncClient(rig.grpc_address) as client:
        answer = await client.chat(
            "hi", n=2, seed=-1, max_tokens=4, tools=[tool], explain=True, stop="never"
        )
        timeline = await client.explain(answer.id)

    assert [choice.finish_reason for choice in answer.choices] == ["length", "length"]
    assert answer.explanation is not None
    assert answer.explanation.chosen == "w0"
    assert answer.explanation in timeline.explanations
    assert "ended" in [event.name for event in timeline.events]


async def test_errors_are_those_that_the_router_raised(rig: Rig) -> None:
    """Of the same class, with the message, the field, and the time to come back."""
    async with raylax.AsyncClient(rig.grpc_address) as client:
        with pytest.raises(ModelNotFound, match="there is tiny"):
            await client.chat("hi", model="another")
        with pytest.raises(PromptTooLong, match="the limit is 255") as long:
            await client.generate("x" * 300)
        with pytest.raises(InvalidRequest, match="temperature") as hot:
            await client.chat("hi", temperature=9)
        with pytest.raises(NotFound, match="nothing is known"):
            await client.explain("unheard-of")
        with pytest.raises(TypeError, match="there is no option 'heat'"):
            client.stream_chat("hi", heat=9)  # type: ignore[call-arg]

    assert (long.value.param, hot.value.param) == ("prompt", "temperature")
    assert type(hot.value) is InvalidRequest


async def test_a_full_router_says_when_to_come_back(checkpoint: Path) -> None:
    async with running_router(checkpoint, max_inflight=1) as full:

        def ask() -> None:
            with raylax.Client(full.grpc_address) as client:
                client.chat("hi")

        with full.models.state.places.taken("", 1), pytest.raises(Overloaded) as caught:
            await asyncio.to_thread(ask)

    assert caught.value.retry_after_s is not None


async def test_the_key_goes_with_every_call(checkpoint: Path) -> None:
    """Without it, or with another one, nothing is told."""
    keys = (Key("me", hash_of("secret")),)
    async with running_router(checkpoint, keys=keys) as locked:
        for key in (None, "guess"):
            async with raylax.AsyncClient(locked.grpc_address, api_key=key) as client:
                with pytest.raises(Unauthenticated):
                    await client.models()
                with pytest.raises(Unauthenticated):
                    await client.chat("hi")
        async with raylax.AsyncClient(locked.grpc_address, api_key="secret") as client:
            answer = await client.chat("hi", max_tokens=3, ignore_eos=True)

    assert answer.usage.completion_tokens == 3


async def test_time_is_over_when_it_is(rig: Rig) -> None:
    """The client's own, or that of one call."""
    rig.workers[0].hold(steps=1)

    def ask() -> None:
        with raylax.Client(rig.grpc_address, timeout_s=0.2) as client:
            client.generate("hi")

    with pytest.raises(DeadlineExceeded):
        await asyncio.to_thread(ask)
    async with raylax.AsyncClient(rig.grpc_address) as client:
        with pytest.raises(DeadlineExceeded):
            await client.chat("hi", timeout_s=0.2)
    await until(lambda: not rig.service.journal)


async def test_nobody_there_is_unavailable() -> None:
    """A connection that cannot be made is told as such, and at once."""
    async with raylax.AsyncClient("127.0.0.1:1", timeout_s=PATIENCE_S) as client:
        with pytest.raises(WorkerUnavailable):
            await client.models()


async def test_who_stops_reading_cancels_the_rest(rig: Rig) -> None:
    worker = rig.workers[0]
    worker.hold(steps=3)
    async with raylax.AsyncClient(rig.grpc_address) as client:
        parts = client.stream_chat("hi", ignore_eos=True)
        await anext(parts)
        await parts.aclose()
        await until(lambda: not rig.service.journal)
    worker.let_go()
    await until(lambda: not worker.running)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_stream_goes_on_after_its_connection_was_lost(rig: Rig, kind: str) -> None:
    """Cut before the first reply and later: nothing is missing, nothing comes twice."""
    worker = rig.workers[0]
    async with raylax.AsyncClient(rig.grpc_address) as client:
        whole = await client.chat("hi", temperature=0, max_tokens=40, ignore_eos=True)
    seen: list[Part] = []

    async def listen(address: str) -> None:
        async with raylax.AsyncClient(address) as client:
            async for part in client.stream_chat(
                "hi", temperature=0, max_tokens=40, ignore_eos=True, resume_ttl_s=60
            ):
                seen.append(part)

    def listen_plainly(address: str) -> None:
        with raylax.Client(address) as client:
            for part in client.stream_chat(
                "hi", temperature=0, max_tokens=40, ignore_eos=True, resume_ttl_s=60
            ):
                seen.append(part)

    async with Wire(rig.grpc_address).laid() as wire:
        worker.hold(steps=0)
        listening = asyncio.create_task(
            listen(wire.address)
            if kind == "async"
            else asyncio.to_thread(listen_plainly, wire.address)
        )
        await until(lambda: len(rig.service.state.kept_answers))
        await until(lambda: worker.running)
        wire.cut()
        worker.let_go()
        worker.hold(steps=10)
        await until(lambda: len(seen) >= 3)
        wire.cut()
        worker.let_go()
        await listening

    assert [part.sequence for part in seen] == list(range(1, len(seen) + 1))
    assert texts(seen) == whole.text
    assert seen[-1].usage is not None
    assert seen[-1].usage.completion_tokens == 40


async def test_a_stream_that_is_not_kept_ends_with_its_connection(rig: Rig) -> None:
    rig.workers[0].hold(steps=4)
    async with Wire(rig.grpc_address).laid() as wire, raylax.AsyncClient(wire.address) as client:
        parts = client.stream_chat("hi", ignore_eos=True)
        await anext(parts)
        wire.cut()
        with pytest.raises(WorkerUnavailable):
            async for _ in parts:
                pass
    await until(lambda: not rig.service.journal)


async def test_the_readmes_example_runs(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands there, but for the address and the model."""
    (example,) = re.findall(r"```python\n(import raylax\n.*?)```", README.read_text(), re.DOTALL)
    assert "127.0.0.1:9000" in example
    code = example.replace("127.0.0.1:9000", rig.grpc_address)
    await asyncio.to_thread(exec, code, {})

    assert "w0" in capsys.readouterr().out
