"""The step stream over a real socket: one for each router, and no router harms another."""

import asyncio
from pathlib import Path

from raylax.proto.pages import names_of, router_key
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Finish
from raylax.router.workers.description import describe
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.serving.step_server import StepServer
from tests.support.engines import (
    PATIENCE_S,
    Answers,
    Gate,
)
from tests.support.worker_step_server import TOKEN, ServedEngine


async def test_tokens_come_step_by_step_with_the_load(worker: ServedEngine) -> None:
    """What the engine says, to whom asked for it."""
    async with worker.attach() as router:
        router.submit("r", max_tokens=8)
        await router.read(lambda: router.ends("r"))

    assert router.ends("r") == [Finish.LENGTH]
    assert len(router.tokens("r")) == 8
    assert [len(delta.token_ids) for delta in router.deltas] == [0] + [1] * 8
    assert [delta.began for delta in router.deltas] == [True] + [False] * 8


async def test_a_report_says_which_dispatches_its_load_knows(worker: ServedEngine) -> None:
    """By their numbers, whatever became of them: of two, one is refused."""
    async with worker.attach() as router:
        router.submit("r", max_tokens=8, dispatch=1)
        router.submit("r", max_tokens=8, dispatch=2)
        await router.read(lambda: len(router.ends("r")) == 2)
        await router.read(lambda: router.reports[-1].received == 2)

    assert router.reports[0].received == 0


async def test_a_token_and_nothing_else_comes_by_the_number_of_its_submit(
    worker: ServedEngine,
) -> None:
    """What begins, ends or has log-probabilities is told in full."""
    async with worker.attach() as router:
        router.submit("r", max_tokens=8, dispatch=7)
        await router.read(lambda: router.ends("r"))
        brief = [t for one in router.reports for t in zip(one.continued, one.tokens, strict=True)]
        in_full = router.tokens("r")
        router.submit("again", max_tokens=8, dispatch=8, top_logprobs=1)
        await router.read(lambda: router.ends("again"))
        said = [n for one in router.reports for n in one.continued]

    assert ({number for number, _ in brief}, len(brief), len(in_full)) == ({7}, 7, 1)
    assert [token for _, token in brief] + in_full == router.tokens("again")
    assert set(said) == {7}


async def test_a_worker_that_drains_keeps_no_token_back(worker: ServedEngine) -> None:
    """Else they would be computed again."""
    async with worker.attach() as router:
        with Gate(worker.engine) as gate:
            router.submit("r", max_tokens=100, coalesce=64)
            for _ in range(6):
                gate.let(1)
                await worker.until(lambda: gate.holds)
            made = worker.engine.load().generated_tokens
            await router.read(lambda: router.reports[-1].load.generated_tokens == made)
            before = len(router.tokens("r"))
            router.command(pb.Command(drain=pb.Drain()))
            await router.read(lambda: len(router.tokens("r")) == made)

    assert (before, made > 3) == (1, True)


async def test_routers_are_counted(worker: ServedEngine) -> None:
    async with worker.attach() as one, worker.attach() as two:
        await one.read(lambda: one.reports and one.reports[-1].routers == 2)
        await two.read(lambda: two.reports and two.reports[-1].routers == 2)


async def test_a_router_hears_how_the_engine_works_for_others(worker: ServedEngine) -> None:
    """Between heartbeats, so that it does not send there what must wait."""
    async with worker.attach() as idle, worker.attach() as busy:
        busy.submit("r", max_tokens=200)
        await idle.read(lambda: idle.reports and idle.reports[-1].load.running == 1)
        await busy.read(lambda: busy.ends("r"))
        await idle.read(lambda: idle.reports[-1].load.running == 0)
        steps = [report.load.step for report in idle.reports[1:]]

    assert not idle.deltas
    assert len(set(steps)) > 2


async def test_page_events_name_what_can_be_found(worker: ServedEngine) -> None:
    """The first report has everything, later ones what changed, to every router."""
    prompt = list(range(5, 5 + 40))
    names = [router_key(name) for name in names_of(prompt)]
    async with worker.attach() as one:
        one.submit("r", prompt=prompt)
        await one.read(lambda: one.ends("r"))
        await one.read(lambda: names == [n for r in one.reports for n in r.pages.added][:2])
        async with worker.attach() as two:
            await two.read(lambda: two.reports)
            assert two.reports[0].pages.snapshot
            assert set(two.reports[0].pages.added) >= set(names)
        await asyncio.to_thread(worker.engine.reset)
        await one.read(lambda: set(names) <= {n for r in one.reports for n in r.pages.removed})


async def test_a_draining_worker_says_so_and_takes_nothing(worker: ServedEngine) -> None:
    async with worker.attach() as router:
        router.command(pb.Command(drain=pb.Drain()))
        await router.read(lambda: router.reports and router.reports[-1].load.draining)
        router.submit("r")
        await router.read(lambda: router.ends("r"))

    assert router.ends("r") == [Finish.ERROR]
    assert worker.server.idle


async def test_each_router_hears_its_own(worker: ServedEngine) -> None:
    async with worker.attach() as one, worker.attach() as two:
        one.submit("a")
        two.submit("b")
        await one.read(lambda: one.ends("a"))
        await two.read(lambda: two.ends("b"))

    assert {delta.request_id for delta in one.deltas} == {"a"}
    assert {delta.request_id for delta in two.deltas} == {"b"}


async def test_a_silent_engine_reports_now_and_then(worker: ServedEngine) -> None:
    """From the first moment: so a router knows that it is attached, and how the worker stands."""
    async with worker.attach() as router:
        await router.read(lambda: len(router.reports) > 2)

    for report in router.reports:
        assert not report.deltas
        assert report.load.pages_total == worker.engine.load().pages_total


async def test_a_router_that_does_not_read_is_cut_off(impatient: ServedEngine) -> None:
    """Its requests are aborted; others do not notice."""
    worker = impatient
    async with worker.attach() as deaf:
        await deaf.read(lambda: deaf.reports)
        assert deaf.connection._transport is not None
        (router,) = worker.server._sessions
        with Gate(worker.engine) as gate:
            deaf.submit("deaf", max_tokens=200)
            await worker.until(lambda: gate.holds)
            deaf.connection._transport.pause_reading()
            router.connection.send(bytes(32 << 20))  # more than lies between the two
            async with worker.attach() as hears:
                await hears.read(lambda: hears.reports and hears.reports[-1].routers == 1)
                gate.let(1)
                await worker.until(lambda: not worker.engine.live)
                hears.submit("hears", max_tokens=4)
                gate.let(9)
                await hears.read(lambda: hears.ends("hears"))

    assert hears.ends("hears") == [Finish.LENGTH]
    assert worker.engine.load().generated_tokens < 20


async def test_describe(worker: ServedEngine) -> None:
    """The complete configuration, as the engine has it."""
    described = await describe(worker.address, TOKEN, PATIENCE_S)

    assert (described.worker_id, described.vocab_size) == ("w0", 99)
    assert described.max_sequence_length == 256
    assert described.engine_config_json == worker.engine.get_complete_engine_config()


async def test_a_loop_that_has_ended_is_no_error(checkpoint: Path) -> None:
    """The engine may say its last words after the server is gone."""
    answers = Answers()

    async def make() -> StepServer:
        return StepServer(ThreadedEngine(), "w0", TOKEN)

    server = await asyncio.to_thread(asyncio.run, make())
    server.on_step([Delta("r", finish=Finish.ABORT)], ThreadedEngine().load())

    assert answers.deltas == {}
