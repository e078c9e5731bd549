"""The step stream over a real socket: one for each router, and no router harms another."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from raylax.proto.pages import names_of, router_key
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Fault, Finish, Load, Request, Sampling
from raylax.proto.wire import messages as wire
from raylax.proto.wire.frames import Connection
from raylax.router.workers.description import describe
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.serving.step_server import UNREAD_S, StepServer
from tests.support.engines import (
    PATIENCE_S,
    Answers,
    Gate,
    running_engine,
    until,
)

TOKEN = "the cluster's secret"
CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=256, threads=1)


@dataclass
class RouterEnd:
    """A router's end of a stream."""

    reports: list[pb.StepReport] = field(default_factory=list)
    deltas: list[Delta] = field(default_factory=list)
    ended: str | None = None
    """Why."""

    def __post_init__(self) -> None:
        self._news = asyncio.Event()
        self.connection = Connection(self._hear, self._end, PATIENCE_S)

    def _hear(self, message: bytes) -> None:
        report = pb.StepReport.FromString(message)
        self.reports.append(report)
        self.deltas += map(wire.delta_from_proto, report.deltas)
        self._news.set()

    def _end(self, how: object, why: str) -> None:
        self.ended = why
        self._news.set()

    def submit(
        self,
        id: str,
        max_tokens: int = 8,
        top_logprobs: int | None = None,
        prompt: Sequence[int] = (5, 6, 7),
        dispatch: int = 0,
        pages_at: str = "",
        coalesce: int = 1,
    ) -> None:
        sampling = Sampling(temperature=0.0, top_logprobs=top_logprobs)
        request = Request(id, tuple(prompt), max_tokens, sampling, pages_at=pages_at)
        submit = wire.submit_to_proto(request, dispatch, coalesce=coalesce)
        self.command(pb.Command(submit=submit))

    def cancel(self, id: str) -> None:
        self.command(pb.Command(cancel=pb.Cancel(request_id=id)))

    def command(self, command: pb.Command) -> None:
        self.connection.send(command.SerializeToString())

    async def read(self, enough: Callable[[], object]) -> None:
        """Until it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not enough():
                assert self.ended is None, self.ended
                self._news.clear()
                await self._news.wait()

    async def end(self) -> str:
        """Why it was ended."""
        await self.read(lambda: self.ended is not None)
        return self.ended or ""

    def tokens(self, id: str) -> list[int]:
        return [t for delta in self.deltas if delta.request_id == id for t in delta.token_ids]

    def ends(self, id: str) -> list[Finish]:
        return [d.finish for d in self.deltas if d.request_id == id and d.finish is not None]


@dataclass
class ServedEngine:
    engine: ThreadedEngine
    server: StepServer
    address: str

    @asynccontextmanager
    async def attach(self) -> AsyncIterator[RouterEnd]:
        router = RouterEnd()
        hello = pb.Hello(token=TOKEN, attach=pb.Attach())
        router.connection.send(hello.SerializeToString())
        router.connection.connect(self.address)
        yield router
        router.connection.abort()

    async def until(self, condition: Callable[[], object]) -> None:
        await asyncio.to_thread(until, condition)

    @property
    def busy(self) -> int:
        load = self.engine.load()
        return load.running + load.waiting


@asynccontextmanager
async def serving(checkpoint: Path, unread_s: float = UNREAD_S) -> AsyncIterator[ServedEngine]:
    with running_engine(checkpoint, CONFIG) as (engine, _):
        server = StepServer(engine, "w0", TOKEN, unread_s)
        engine.init_threaded_engine("cpu", server.on_step, on_pages=server.on_pages)
        yield ServedEngine(engine, server, await server.open("127.0.0.1"))
        server.close()


@pytest.fixture
async def worker(checkpoint: Path) -> AsyncIterator[ServedEngine]:
    async with serving(checkpoint) as made:
        yield made


@pytest.fixture
async def impatient(checkpoint: Path) -> AsyncIterator[ServedEngine]:
    """Who reads nothing for a fifth of a second is cut off."""
    async with serving(checkpoint, unread_s=0.2) as made:
        yield made


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


async def test_a_router_that_does_not_read_is_cut_off(impatient: ServedEngine) -> None:
    """Its requests are aborted; others do not notice."""
    worker = impatient
    async with worker.attach() as deaf:
        await deaf.read(lambda: deaf.reports)
        assert deaf.connection._transport is not None
        deaf.connection._transport.pause_reading()
        (router,) = worker.server._sessions
        router.connection.send(bytes(32 << 20))  # more than lies between the two
        with Gate(worker.engine) as gate:
            deaf.submit("deaf", max_tokens=200)
            async with worker.attach() as hears:
                await hears.read(lambda: gate.holds and hears.reports)
                await hears.read(lambda: hears.reports[-1].routers == 1)
                gate.let(1)
                await worker.until(lambda: not worker.engine.live)
                hears.submit("hears", max_tokens=4)
                gate.let(9)
                await hears.read(lambda: hears.ends("hears"))

    assert hears.ends("hears") == [Finish.LENGTH]
    assert worker.engine.load().generated_tokens < 20


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
            broken.setattr(worker.engine, "add_request", lambda request: 1 / 0)
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
