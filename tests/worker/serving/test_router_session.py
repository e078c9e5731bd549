"""What routers may ask of a worker: each request ends once, and harms no other."""

import threading

import pytest

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Fault, Finish, Load, Request
from raylax.proto.wire import messages as wire
from tests.support.engines import (
    PATIENCE_S,
    Gate,
)
from tests.support.worker_step_server import ServedEngine


async def test_tokens_that_nobody_waits_for_come_together(worker: ServedEngine) -> None:
    """After the first, which tells that the request is at work; the rest come with the end."""
    async with worker.attach() as router:
        router.submit("r", max_tokens=11, coalesce=4)
        await router.read(lambda: router.ends("r"))
        router.submit("each", max_tokens=11)
        await router.read(lambda: router.ends("each"))
    told = [delta for delta in router.deltas if delta.request_id == "r" and delta.token_ids]

    assert [len(delta.token_ids) for delta in told] == [1, 4, 4, 2]
    assert router.tokens("r") == router.tokens("each")


async def test_a_request_is_cancelled_by_who_sent_it_alone(worker: ServedEngine) -> None:
    async with worker.attach() as one, worker.attach() as two:
        with Gate(worker.engine) as gate:
            one.submit("r", max_tokens=30)
            gate.let(2)
            await one.read(lambda: one.tokens("r"))
            await worker.until(lambda: gate.holds)
            two.cancel("r")
            two.submit("mark", max_tokens=1)  # read after the other command
            await worker.until(lambda: worker.engine._commands._queue.qsize())
            gate.let(2)
            await two.read(lambda: two.ends("mark"))
            assert one.ends("r") == []
            await worker.until(lambda: gate.holds)
            one.cancel("r")
            await worker.until(lambda: worker.engine._commands._queue.qsize())
        await one.read(lambda: one.ends("r"))

    assert one.ends("r") == [Finish.ABORT]


async def test_a_request_that_cannot_be_accepted_ends_at_once(worker: ServedEngine) -> None:
    """And the stream goes on."""
    async with worker.attach() as router:
        wrong = wire.submit_to_proto(Request("wrong", (5, 99), 8))
        router.command(pb.Command(submit=wrong))
        await router.read(lambda: router.ends("wrong"))
        router.submit("right")
        await router.read(lambda: router.ends("right"))

    assert router.deltas[0].error == "prompt: token id 99 is outside the vocabulary of 99"
    assert router.ends("right") == [Finish.LENGTH]


async def test_a_router_that_leaves_has_its_requests_aborted(worker: ServedEngine) -> None:
    """And nobody else's."""
    async with worker.attach() as stays:
        with Gate(worker.engine) as gate:
            async with worker.attach() as leaves:
                leaves.submit("gone", max_tokens=200)
                stays.submit("here", max_tokens=20)
                await worker.until(lambda: gate.holds and len(worker.engine._commands.live) == 2)
                sent = worker.engine._commands._queue.qsize()
            await worker.until(lambda: worker.engine._commands._queue.qsize() > sent)
            gate.let(1)
        await stays.read(lambda: stays.ends("here"))
        await worker.until(lambda: not worker.busy)

    assert len(stays.tokens("here")) == 20
    assert worker.engine.load().generated_tokens < 100


async def test_an_id_is_taken_until_its_end_has_been_said(worker: ServedEngine) -> None:
    """Else the end of the old request would be taken for the end of the new one."""
    said, hear = threading.Event(), worker.server.on_step

    def held(deltas: list[Delta], load: Load) -> None:
        assert said.wait(PATIENCE_S)
        hear(deltas, load)

    worker.engine.init_threaded_engine("cpu", held)
    async with worker.attach() as leaves:
        leaves.submit("same", max_tokens=200)
        await worker.until(lambda: worker.busy)
    await worker.until(lambda: "same" not in worker.engine._commands.live)
    async with worker.attach() as comes:
        comes.submit("same")
        await comes.read(lambda: comes.ends("same"))
        refused = comes.deltas[-1].error
        said.set()
        await worker.until(lambda: not worker.server.session_of)
        comes.deltas.clear()
        comes.submit("same")
        await comes.read(lambda: comes.ends("same"))

    assert refused == "request id same is already running"
    assert (comes.ends("same"), len(comes.tokens("same"))) == ([Finish.LENGTH], 8)


async def test_a_name_in_use_is_refused_without_harm(worker: ServedEngine) -> None:
    """Two routers may choose the same id; the first one's request goes on."""
    async with worker.attach() as one, worker.attach() as two:
        with Gate(worker.engine) as gate:
            one.submit("same", max_tokens=4)
            await worker.until(lambda: gate.holds)
            two.submit("same")
            await two.read(lambda: two.ends("same"))
        await one.read(lambda: one.ends("same"))

    assert two.deltas[-1].error == "request id same is already running"
    assert (one.ends("same"), len(one.tokens("same"))) == ([Finish.LENGTH], 4)


async def test_a_command_that_cannot_be_read_ends_the_stream(worker: ServedEngine) -> None:
    """With the reason, rather than leaving the router to wait for answers."""
    bad = pb.Submit(request_id="r", prompt=[5], max_tokens=4, history=[2**32 - 1])
    bad.sampling.logit_bias[2**32 - 1] = 1.0
    async with worker.attach() as router:
        router.command(pb.Command(submit=bad))
        await router.read(lambda: router.ends("r"))
        assert "history: token id 4294967295" in (router.deltas[0].error or "")
        router.connection.send(b"\xff\xff")
        why = await router.end()

    assert why.startswith("a command failed: DecodeError")


@pytest.mark.parametrize("pages_at", ["", "127.0.0.1:9"])
async def test_a_request_that_cannot_be_taken_in_is_answered(
    worker: ServedEngine, monkeypatch: pytest.MonkeyPatch, pages_at: str
) -> None:
    """Whatever the reason; the stream goes on, and others notice nothing."""
    async with worker.attach() as router:
        with monkeypatch.context() as broken:
            broken.setattr(worker.engine, "add_request", lambda request, needs: 1 / 0)
            router.submit("odd", prompt=range(5, 95), pages_at=pages_at)
            await router.read(lambda: router.ends("odd"))
        odd = router.deltas[-1]
        router.submit("odd")
        await router.read(lambda: len(router.ends("odd")) == 2)

    assert (odd.fault, odd.error) == (
        Fault.ENGINE,
        "the request could not be taken in: ZeroDivisionError: division by zero",
    )
    assert router.ends("odd") == [Finish.ERROR, Finish.LENGTH]
