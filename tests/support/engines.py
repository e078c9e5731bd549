"""An engine with its two threads, and requests whose answers are waited for."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Finish, Load, Request, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.threads import start_threads
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.ranks.child_processes import ChildProcess, ChildProcesses
from raylax.worker.ranks.shard import Invitation
from raylax.worker.ranks.startup import Spawner
from raylax.worker.scheduling.step_plan import StepPlan

PATIENCE_S = 60.0
ONE = EngineConfig(
    quantization="q0f32",
    max_num_sequence=4,
    max_single_sequence_length=128,
    max_total_sequence_length=512,
    prefill_chunk_size=48,
    threads=1,
)
TWO = replace(ONE, tensor_parallel_shards=2)
"""The same engine as one rank and as two shards."""


class Answers:
    """Collects what the engine says, by request."""

    def __init__(self) -> None:
        self.deltas: dict[str, list[Delta]] = {}
        self.loads: list[Load] = []
        self._changed = threading.Condition()

    def on_step(self, deltas: list[Delta], load: Load) -> None:
        with self._changed:
            self.loads.append(load)
            for delta in deltas:
                self.deltas.setdefault(delta.request_id, []).append(delta)
            self._changed.notify_all()

    def ends(self, request_id: str) -> list[Finish]:
        return [d.finish for d in self.deltas.get(request_id, []) if d.finish is not None]

    def tokens(self, request_id: str) -> list[int]:
        return [token for delta in self.deltas[request_id] for token in delta.token_ids]

    def wait_for(self, *request_ids: str) -> None:
        """Until each has ended, as long as the engine says something now and then."""
        with self._changed:
            while running := [one for one in request_ids if not self.ends(one)]:
                assert self._changed.wait(PATIENCE_S), f"still running: {running}"

    def wait_for_tokens(self, request_id: str, count: int) -> None:
        with self._changed:
            came = self._changed.wait_for(
                lambda: request_id in self.deltas and len(self.tokens(request_id)) >= count,
                PATIENCE_S,
            )
        assert came


@contextmanager
def running_engine(
    checkpoint: Path,
    config: EngineConfig | None = None,
    clock: Callable[[], float] = time.monotonic,
    spawner: Spawner | None = None,
    device: str = "cpu",
    trace: TraceRecorder | None = None,
) -> Iterator[tuple[ThreadedEngine, Answers]]:
    """A loaded engine whose threads run, and what it says; all of it ends with the `with`."""
    engine, answers = ThreadedEngine(clock, spawner), Answers()
    engine.init_threaded_engine(device, answers.on_step, trace)
    threads = start_threads(engine)
    try:
        engine.reload((config or EngineConfig()).complete(model=str(checkpoint), mode="server"))
        yield engine, answers
    finally:
        engine.exit_background_loop()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


class Elsewhere(ChildProcesses):
    """Shards that say they are on another host each, so that they must be reached by TCP."""

    def spawn(self, invitation: Invitation) -> ChildProcess:
        return ChildProcess(invitation, host=f"127.0.0.{invitation.rank + 1}")


class Gate:
    """Lets an engine run its steps when a test says so. Closed until then; leaving opens it."""

    def __init__(self, engine: ThreadedEngine) -> None:
        self._steps, self._open = threading.Semaphore(0), False
        self._came = self._let = 0
        self._batch = engine._slot.loaded().batch
        self._run = self._batch.run

    def __enter__(self) -> Self:
        self._batch.run = self._held
        return self

    def __exit__(self, *_: object) -> None:
        self._open = True
        self._steps.release()

    def let(self, steps: int) -> None:
        """Run this many steps more."""
        self._let += steps
        self._steps.release(steps)

    @property
    def holds(self) -> bool:
        """The engine stands before a step: what is asked of it now stays in its queue."""
        return self._came > self._let

    def _held(self, plan: StepPlan) -> StepOutput:
        self._came += 1
        if not self._open:
            assert self._steps.acquire(timeout=PATIENCE_S)
        return self._run(plan)


def until(condition: Callable[[], object]) -> None:
    """Polls, with a deadline."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def request(
    id: str, prompt: Sequence[int], max_tokens: int = 12, sampling: Sampling | None = None
) -> Request:
    """A greedy request, if nothing else is said."""
    return Request(id, tuple(prompt), max_tokens, sampling or Sampling(temperature=0.0))


def in_thread(work: Callable[[], Any]) -> "Future[Any]":
    """What it returns or raises, later."""
    future: Future[Any] = Future()

    def body() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=body).start()
    return future


def queued(engine: ThreadedEngine, commands: int) -> None:
    """Until so many commands wait for the engine thread."""
    until(lambda: engine._commands._queue.qsize() >= commands)


def asked_in_a_step(
    engine: ThreadedEngine, answers: Answers, one: Request, ask: Callable[[], Any]
) -> Any:
    """Ask something of an engine that is in a step of a request, whose first token is out: it is
    carried out behind that step, however long that takes to be asked. What it returns or raises."""
    with Gate(engine) as gate:
        engine.add_request(one)
        gate.let(1)
        answers.wait_for_tokens(one.id, 1)
        until(lambda: gate.holds)
        asked = in_thread(ask)
        queued(engine, 1)
    return asked.result(PATIENCE_S)
