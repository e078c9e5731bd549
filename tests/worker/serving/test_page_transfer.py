"""Pages from worker to worker: a request waits for them, and what cannot be had is computed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raylax.proto.pages import root_of
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Fault, Finish, Request
from raylax.proto.wire import messages as wire
from tests.support.worker_step_server import ServedEngine, serving


async def test_pages_go_from_worker_to_worker(worker: ServedEngine, checkpoint: Path) -> None:
    """Another worker takes them over, and computes only what no full page has."""
    prompt = list(range(5, 5 + 90))
    async with worker.attach() as router:
        router.submit("r", prompt=prompt)
        await router.read(lambda: router.ends("r"))
    async with serving(checkpoint) as other, other.attach() as router:
        router.submit("r", prompt=prompt, pages_at=worker.address)
        await router.read(lambda: router.ends("r"))
        cached = [delta.cached_tokens for delta in router.deltas if delta.token_ids]

    assert cached[0] == 80


@pytest.mark.parametrize(("root", "cached"), [("alice", 80), ("bob", 0)])
async def test_pages_go_to_who_has_the_same_root(
    worker: ServedEngine, checkpoint: Path, root: str, cached: int
) -> None:
    """Another tenant's are not to be had from another worker, either."""
    prompt = list(range(5, 5 + 90))
    async with worker.attach() as router:
        router.submit("r", prompt=prompt, page_root=root_of("alice", ""))
        await router.read(lambda: router.ends("r"))
    async with serving(checkpoint) as other, other.attach() as router:
        router.submit("r", prompt=prompt, pages_at=worker.address, page_root=root_of(root, ""))
        await router.read(lambda: router.ends("r"))
        found = [delta.cached_tokens for delta in router.deltas if delta.token_ids]

    assert found[0] == cached


async def test_pages_that_cannot_be_kept_are_computed(
    worker: ServedEngine, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever fails there: a request that has come is answered."""
    prompt = list(range(5, 5 + 90))
    async with worker.attach() as router:
        router.submit("r", prompt=prompt)
        await router.read(lambda: router.ends("r"))
    async with serving(checkpoint) as other, other.attach() as router:
        monkeypatch.setattr(other.engine, "write_pages", lambda names, contents: 1 / 0)
        router.submit("r", prompt=prompt, pages_at=worker.address)
        await router.read(lambda: router.ends("r"))

    assert router.ends("r") == [Finish.LENGTH]


async def test_pages_that_cannot_be_had_are_computed(worker: ServedEngine) -> None:
    """Nobody is at that address."""
    async with worker.attach() as router:
        router.submit("r", prompt=list(range(5, 95)), pages_at="127.0.0.1:9")
        await router.read(lambda: router.ends("r"))

    assert router.ends("r") == [Finish.LENGTH]


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    """The address of a worker that is asked for pages and says nothing."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side has had enough
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1")
    host, port = server.sockets[0].getsockname()
    yield f"{host}:{port}"
    server.close()


LONG = range(5, 95)
"""A prompt whose pages are worth the way."""


async def test_a_request_waits_for_its_pages_in_the_engine(
    worker: ServedEngine, silent: str
) -> None:
    """It is known there and counted, others are served meanwhile, and it can be cancelled."""
    async with worker.attach() as router:
        router.submit("late", prompt=LONG, pages_at=silent, dispatch=1)
        router.submit("other", dispatch=2)
        await router.read(lambda: router.ends("other"))
        await router.read(lambda: router.reports[-1].load.running == 0)
        load, received = router.reports[-1].load, router.reports[-1].received
        router.cancel("late")
        await router.read(lambda: router.ends("late"))
        await worker.until(lambda: worker.server.idle)

    assert (load.waiting, load.queued_tokens, received) == (1, 90, 2)
    assert (router.ends("late"), router.tokens("late")) == ([Finish.ABORT], [])


async def test_a_deadline_counts_while_pages_are_on_their_way(
    worker: ServedEngine, silent: str
) -> None:
    request = Request("late", tuple(LONG), 8, deadline_s=0.1, pages_at=silent)
    async with worker.attach() as router:
        router.command(pb.Command(submit=wire.submit_to_proto(request)))
        await router.read(lambda: router.ends("late"))

    assert router.deltas[-1].fault is Fault.DEADLINE


async def test_pages_that_do_not_come_are_computed(worker: ServedEngine, silent: str) -> None:
    """After a while; the one who hands them out is not waited for any longer."""
    async with worker.attach() as router:
        router.submit("late", prompt=LONG, pages_at=silent)
        await router.read(lambda: router.ends("late"))

    assert router.ends("late") == [Finish.LENGTH]


async def test_nobody_fetches_pages_for_a_request_that_has_ended(
    worker: ServedEngine, silent: str
) -> None:
    """Else what it needed would be met for the next one of its name."""
    async with worker.attach() as router:
        router.submit("same", prompt=LONG, pages_at=silent)
        await worker.until(lambda: worker.busy)
        (session,) = worker.server._sessions
        (first,) = session._fetches.values()
        await asyncio.to_thread(worker.engine.reset)
        await router.read(lambda: router.ends("same"))
        assert not session._fetches
        router.submit("same", prompt=LONG, pages_at=silent)
        await worker.until(lambda: worker.busy)
        router.submit("same")
        await router.read(lambda: len(router.ends("same")) == 2)
        (second,) = session._fetches.values()
        await asyncio.wait([first])

    assert (first.cancelled(), second.done()) == (True, False)
    assert router.deltas[-1].error == "request id same is already running"
    await worker.until(lambda: worker.server.idle)
