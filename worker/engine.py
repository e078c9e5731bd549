"""The threaded engine: a thread that computes, and a thread that hands tokens back.

Anybody may call; what they ask for becomes a command, and the engine thread takes commands
between steps. The engine thread is the only one to touch the model, the batch and the pages.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from raylax.proto.errors import WorkerUnavailable
from raylax.proto.vocabulary import Delta, Fault, Finish, Load, Request, Sampling
from raylax.worker.assembly import Ranks, Spawner, assemble
from raylax.worker.batch import Batch, StepFailed
from raylax.worker.children import Children
from raylax.worker.config import EngineConfig
from raylax.worker.cores import Cores, keep_to_own_cores, usable_cores
from raylax.worker.errors import EngineNotReady, RankLost
from raylax.worker.loading import degree_of
from raylax.worker.outbox import Outbox, PagesCallback, StepCallback
from raylax.worker.pages import PagePool
from raylax.worker.reception import Closed, Reception
from raylax.worker.scheduler import Limits
from raylax.worker.served import Served, within
from raylax.worker.trace import TraceRecorder

log = logging.getLogger(__name__)
Progress = Callable[[str, float], None]
MOST_FAILURES = 3
"""Failed steps in a row after which the engine counts as broken."""
STALLED_S = 60.0
"""A step that takes longer counts as no progress."""
ANSWER_S = 60.0
"""For `reset` and debug calls, which wait for the step that is running."""


class Stand(NamedTuple):
    """How an engine stood between two steps, and how long ago that was."""

    load: Load
    age_s: float


def no_progress(stage: str, fraction: float) -> None:
    """Nobody watches."""


class ThreadedEngine:
    """Eleven functions, as the engine that this one follows has them."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, spawner: Spawner | None = None
    ) -> None:
        """`spawner` makes the processes of ranks beyond the first; they are children by default."""
        self._clock, self._spawner = clock, spawner or Children()
        self._reception, self._outbox = Reception(), Outbox()
        self._batch: Batch | None = None
        self._ranks: Ranks | None = None
        self._cores: Cores | None = None  # None before the first model
        self._served: Served | None = None
        self._failures = 0
        self._broken: str | None = None
        self._fault = Fault.ENGINE  # whose it is that the engine is broken
        self._busy_since: float | None = None
        self._stand = Load(), 0.0  # with the time when it was so
        self._taken = 0  # requests that this thread has taken up
        self._device = "cpu"
        self._trace: TraceRecorder | None = None

    # Life cycle

    def init_threaded_engine(
        self,
        device: str,
        on_step: StepCallback,
        trace: TraceRecorder | None = None,
        on_pages: PagesCallback | None = None,
    ) -> None:
        """Before the loops start. Both callbacks run on the stream-back thread, in the order of
        what happened; `on_pages` hears which pages can be found."""
        self._device, self._trace = device, trace
        self._outbox.on_step, self._outbox.on_pages = on_step, on_pages

    def run_background_loop(self) -> None:
        """The engine thread's body: returns after `exit_background_loop`, or when it is broken.

        A step that fails ends only who is to blame. When a rank is lost, or anything else raises,
        which is a bug of ours, every request ends with an error: nobody would ever answer it.
        """
        try:
            while not self._reception.closed:
                self._reception.take(wait=self._batch is None or self._batch.idle)
                if self._batch is not None and not self._batch.idle and not self._reception.closed:
                    self._step(self._batch)
            self._end_everything()
        except RankLost as error:
            self._broken, self._fault = str(error), Fault.UNAVAILABLE
        except Exception as error:
            log.exception("the engine thread has failed")
            self._broken = f"the engine thread has failed: {type(error).__name__}: {error}"
        self._close()

    def run_background_stream_back_loop(self) -> None:
        """The stream-back thread's body: returns after the engine thread's last word."""
        self._outbox.run()

    def exit_background_loop(self) -> None:
        """Requests that are running end with `abort`."""
        self._reception.close()

    def reload(self, config: EngineConfig, progress: Progress = no_progress) -> None:
        """Load the model that the config names; blocks. Raises what kept it from loading."""
        self._reception.call(lambda: self._load(config, progress), timeout=None)

    def reset(self) -> None:
        """Abort every request and forget every cached page."""

        def start_over() -> None:
            self._end_everything()
            if self._batch is not None:
                self._batch.pool.forget()
                self._send([])

        self._reception.call(start_over, ANSWER_S)

    # Requests

    def create_request(
        self, id: str, prompt: Sequence[int], max_tokens: int, sampling: Sampling | None = None
    ) -> Request:
        """A request by its essentials."""
        return Request(id, tuple(prompt), max_tokens, sampling or Sampling())

    def add_request(self, request: Request) -> int:
        """Accept a request: from now on it ends exactly once. Its number: a load whose `taken` is
        as large knows it.

        Raises InvalidRequest, Overloaded, WorkerUnavailable.
        """
        served = self._served
        if served is None or self._reception.closed:
            raise self._refusal()
        checked = within(served, request)
        deadline = None if request.deadline_s is None else self._clock() + request.deadline_s
        try:
            return self._reception.accept(
                request.id, served.places, lambda: self._add(checked, deadline, served)
            )
        except Closed:
            raise self._refusal() from None

    def drain(self) -> None:
        """Accept nothing from now on, and say so in the load."""
        self._reception.drain(self._look)

    def abort_request(self, request_id: str) -> None:
        """End a request with `abort`; one that has ended, or never was, is no error."""
        self._reception.put(lambda: self._abort(request_id))

    # What can be known

    @property
    def config(self) -> EngineConfig:
        """Complete. Raises EngineNotReady while no model is loaded."""
        return self._what_is_served().config

    @property
    def vocab(self) -> int:
        """Token ids are below this."""
        return self._what_is_served().vocab

    @property
    def cores(self) -> tuple[int, ...]:
        """Those that its threads have to themselves; none when the system places them."""
        return self._cores.ids if self._cores is not None else ()

    @property
    def fault(self) -> str | None:
        """Why the engine can no longer serve; None while it can."""
        if self._broken is not None:
            return self._broken
        if (ranks := self._ranks) is not None and ranks.fault is not None:
            return ranks.fault
        if self._failures >= MOST_FAILURES:
            return f"{self._failures} steps in a row failed"
        begun = self._busy_since
        if begun is not None and self._clock() - begun > STALLED_S:
            return f"a step has been running for {self._clock() - begun:.0f} s"
        return None

    def load(self) -> Load:
        """How the engine stood after its last step or command."""
        return self._stand[0]

    def stand(self) -> Stand:
        """The same with its age."""
        load, at = self._stand
        return Stand(load, self._clock() - at)

    @property
    def live(self) -> int:
        """Requests that were accepted and have not ended."""
        return len(self._reception.live)

    def get_complete_engine_config(self) -> str:
        """JSON with every inferred value."""
        return self.config.asjson()

    def read_pages(self, names: Sequence[bytes]) -> list[bytes]:
        """Contents of the longest beginning of these pages that is here; none of several ranks."""

        def read() -> list[bytes]:
            return self._loaded().read_pages(self._served_batch().pool.find(names))

        return list(self._reception.call(read, ANSWER_S))

    def write_pages(self, names: Sequence[bytes], contents: Sequence[bytes]) -> int:
        """Keep pages that another engine of this model has computed, as cached ones, while there
        are free ones; how many."""

        def write() -> int:
            pool, kept = self._served_batch().pool, 0
            for name, content in zip(names, contents, strict=False):
                if not pool.find([name]):
                    if not pool.free:
                        break
                    page = pool.take()
                    self._loaded().write_page(page, content)
                    pool.publish(page, name)
                    pool.release([page])
                kept += 1
            self._send([])
            return kept

        return int(self._reception.call(write, ANSWER_S))

    def debug_call_func_on_all_worker(self, name: str, args: Sequence[Any] = ()) -> list[Any]:
        """Run a registered function on every rank; each rank's result, or the exception it raised.

        LookupError for a name that `raylax.worker.debug` does not know.
        """
        return list(self._reception.call(lambda: self._loaded().call(name, args), ANSWER_S))

    @property
    def shards(self) -> list[dict[str, Any]]:
        """Where the ranks beyond the first are; none for an engine of one."""
        return ranks.describe() if (ranks := self._ranks) is not None else []

    def _loaded(self) -> Ranks:
        if self._ranks is None:
            raise EngineNotReady("no model is loaded")
        return self._ranks

    def _served_batch(self) -> Batch:
        if self._batch is None:
            raise EngineNotReady("no model is loaded")
        return self._batch

    def _what_is_served(self) -> Served:
        if self._served is None:
            raise EngineNotReady("no model is loaded")
        return self._served

    def _refusal(self) -> WorkerUnavailable:
        """Why no request can be taken; a router then asks another worker."""
        if self._broken is not None:
            return WorkerUnavailable(self._broken)
        if self._reception.draining:
            return WorkerUnavailable("the engine is being drained")
        ended = "the engine has been terminated"
        return WorkerUnavailable(ended if self._reception.closed else "no model is loaded")

    # On the engine thread

    def _load(self, config: EngineConfig, progress: Progress) -> None:
        self._end_everything()
        self._unload()  # before others take its memory
        self._cores = self._cores or self._place(config)
        config = config.complete(pin_threads=bool(self.cores))
        assert config.model is not None and config.mode is not None
        checkpoint = Path(config.model)
        made = assemble(checkpoint, self._device, config.mode, config, progress, self._spawner)
        pool = PagePool(made.sizes.pages, prefix_cache=config.prefix_cache_mode == "radix")
        limits = Limits(made.sizes.prefill_chunk_size, made.sizes.max_num_sequence)
        self._ranks = made.ranks
        self._batch = Batch(pool, limits, made.ranks.run, self._clock, self._began)
        self._served = Served(made.config, made.vocab)
        self._failures = 0
        self._look()

    def _unload(self) -> None:
        ranks, self._served, self._batch, self._ranks = self._ranks, None, None, None
        if ranks is not None:
            ranks.close()

    def _place(self, config: EngineConfig) -> Cores:
        """Before the first model runs: TVM's threads are made once, and inherit our cores."""
        if config.pin_threads:
            ranks = degree_of(config).ranks
            return keep_to_own_cores(config.threads or max(1, usable_cores() // ranks))
        return Cores()

    def _look(self) -> None:
        """How it stands now."""
        if self._batch is not None:
            load = replace(self._batch.load(), taken=self._taken)
            load = replace(load, draining=self._reception.draining)
            self._stand = load, self._clock()

    def _add(self, request: Request, deadline: float | None, served: Served) -> None:
        """One that was checked against a model that is gone ends as those that ran on it did."""
        self._note(request.id, "add", request.traceparent)
        self._taken += 1
        if self._batch is None or served is not self._served:
            self._send([Delta(request.id, finish=Finish.ABORT)])
        else:
            self._batch.add(request, deadline)
            self._look()

    def _abort(self, request_id: str) -> None:
        if self._batch is not None and self._batch.remove(request_id):
            self._send([Delta(request_id, finish=Finish.ABORT)])

    def _end_everything(self) -> None:
        if self._batch is not None:
            for one in self._batch.everyone():
                self._abort(one.request.id)

    def _step(self, batch: Batch) -> None:
        now = self._clock()
        deltas = [late(request_id) for request_id in batch.expire(now)]
        self._busy_since = now
        try:
            deltas += batch.step()
            self._failures = 0
        except StepFailed as failure:
            log.exception("a step failed; %d of its requests end", len(failure.request_ids))
            self._failures += 1
            deltas += [
                Delta(id, finish=Finish.ERROR, error=str(failure)) for id in failure.request_ids
            ]
        self._busy_since = None
        self._send(deltas, step=True)

    def _began(self, request_ids: list[str]) -> None:
        """Told before the step that may fail of it."""
        self._send([Delta(request_id, began=True) for request_id in request_ids])

    def _send(self, deltas: list[Delta], step: bool = False) -> None:
        """To the stream-back thread, which is told of a step even if nobody has anything of it.
        A request that ends is no longer live."""
        self._look()
        if ended := [delta.request_id for delta in deltas if delta.finish is not None]:
            self._reception.ended(ended)
        for delta in deltas:
            self._note(delta.request_id, delta.finish or ("began" if delta.began else "token"))
        if deltas or step:
            self._outbox.step(deltas, self.load())
        if self._batch is not None and (changes := self._batch.changes()):
            self._outbox.pages(changes)

    def _close(self) -> None:
        """The thread's last act: whoever still waits for an answer gets one, and memory is freed.

        Nothing here touches the batch, which may be what broke.
        """
        self._reception.close()
        ranks, self._batch, self._ranks, self._busy_since = self._ranks, None, None, None
        load = replace(
            self.load(),
            running=0,
            waiting=0,
            queued_tokens=0,
            pages_free=self.load().pages_total,
            pages_cached=0,
        )
        self._stand = load, self._clock()
        if self._cores is not None:
            self._cores.release()
        self._reception.take(wait=False)
        finish = Finish.ABORT if self._broken is None else Finish.ERROR
        end = Delta("", finish=finish, error=self._broken, fault=self._fault)
        self._send([end._replace(request_id=id) for id in self._reception.live])
        self._outbox.close()
        if ranks is not None:
            ranks.close()

    def _note(self, request_id: str, event: str, traceparent: str = "") -> None:
        if self._trace is not None:
            self._trace.add(request_id, event, traceparent)


def late(request_id: str) -> Delta:
    why = "the request's deadline has passed"
    return Delta(request_id, finish=Finish.ERROR, error=why, fault=Fault.DEADLINE)
