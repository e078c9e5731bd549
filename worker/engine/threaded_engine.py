"""The threaded engine: a thread that computes, and a thread that hands tokens back.

Anybody may call; what they ask for becomes a command, and the engine thread takes commands
between steps.
"""

import logging
import time
from collections import abc
from collections.abc import Callable
from typing import Any

from raylax.kernels.options import ProgressCallback, silent
from raylax.proto.errors import WorkerUnavailable
from raylax.proto.event_trace import ProcessTrace
from raylax.proto.grammar.matcher import Matcher
from raylax.proto.vocabulary import Load, Request, Sampling
from raylax.worker.comm.errors import CommError
from raylax.worker.config import EngineConfig
from raylax.worker.engine.census import Census
from raylax.worker.engine.commands import Closed, CommandQueue
from raylax.worker.engine.loop import Loop
from raylax.worker.engine.model.limits import ModelLimits, check
from raylax.worker.engine.model.slot import ModelSlot
from raylax.worker.engine.operations import Operations
from raylax.worker.engine.outputs import OutputQueue, PagesCallback, StepCallback
from raylax.worker.engine.process_guard import ProcessGuard
from raylax.worker.engine.rank_traces import traces_of_others
from raylax.worker.engine.status import StatusSnapshot
from raylax.worker.engine.teller import Teller
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.errors import DeviceLost, EngineLost, EngineNotReady
from raylax.worker.grammars.making import MatcherMaker
from raylax.worker.hardware.devices import detect_device
from raylax.worker.ranks.child_processes import ChildProcesses
from raylax.worker.ranks.startup import Spawner
from raylax.worker.sampling.pooling import pooled_of
from raylax.worker.scheduling.counters import Counters
from raylax.worker.scheduling.readiness import READY, Need, Needs
from raylax.worker.scheduling.sequence import Sequence

log = logging.getLogger(__name__)
ANSWER_S = 60.0
"""For calls that wait for the step that is running."""


class ThreadedEngine:
    """An engine that any thread may call: the eleven functions that the engine has which this one
    follows, and what a cluster needs."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        spawner: Spawner | None = None,
        commands: type[CommandQueue] = CommandQueue,
    ) -> None:
        """`spawner` makes the processes of ranks beyond the first; they are children by default."""
        self._clock = clock
        self.process = ProcessGuard()
        self._commands, self._outputs = commands(self.process), OutputQueue()
        self._slot = ModelSlot(clock, spawner or ChildProcesses())
        self._teller = Teller(self._slot, self._commands, self._outputs, clock)
        self._operations = Operations(self._slot, self._teller)
        parts = self._commands, self._operations, self._slot, self._teller
        self._loop, self._status = Loop(*parts, clock), self._teller.status
        self._lost: DeviceLost | None = None
        self._grammars = self.grammars(self._matcher_made)

    grammars = MatcherMaker
    """Who makes the matchers of requests."""

    # Life cycle

    def init_threaded_engine(
        self,
        device: object,
        on_step: StepCallback,
        trace: TraceRecorder | None = None,
        on_pages: PagesCallback | None = None,
    ) -> None:
        """Call this before the loops start. Both callbacks run on the stream-back thread, in the
        order of what happened; `on_pages` hears which pages can be found. `device` is what
        `detect_device` takes. Raises ConfigError."""
        self._slot.device, self._teller.trace = detect_device(device), trace
        if trace is not None:
            trace.other_ranks = lambda: self._traces_of_others(trace.name)
        self._outputs.on_step, self._outputs.on_pages = on_step, on_pages

    def run_background_loop(self) -> None:
        """The engine thread's body: returns after `exit_background_loop`, or when it is broken."""
        self._loop.run()

    def run_background_stream_back_loop(self) -> None:
        """The stream-back thread's body: returns after the engine thread's last word."""
        self._outputs.run()

    def exit_background_loop(self) -> None:
        """Requests that are running end with `abort`. A forked child has none: nothing happens."""
        if self.process.here:
            self._grammars.close()
            self._commands.close()

    def reload(self, config: EngineConfig, progress: ProgressCallback = silent) -> None:
        """Load the model that the config names; blocks. Raises what kept it from loading."""
        self._commands.call(lambda: self._operations.load(config, progress), timeout=None)

    def reset(self) -> None:
        """Abort every request, drop every cached page, and begin to count anew."""
        self._commands.call(self._operations.start_over, ANSWER_S)

    def unload(self) -> None:
        """End every request, and give back all that the model has; `reload` loads one again."""
        self._commands.call(self._operations.unload, timeout=None)

    def sleep(self, level: int = 1) -> None:
        """Give the model's memory back until `wake_up`: 1, weights, pages and workspace; 2, what
        the host keeps of its files, too. Requests that run are aborted, others refused meanwhile.
        Raises ConfigError, EngineNotReady."""
        self._commands.call(lambda: self._operations.sleep(level), timeout=None)

    def wake_up(self) -> None:
        """Load the model again, of the same sizes; nothing if it is there. Raises what keeps it
        from loading, and EngineNotReady where there was none."""
        self._commands.call(self._operations.wake_up, timeout=None)

    @property
    def sleep_level(self) -> int:
        """How deep it sleeps; 0: it is awake."""
        return 0 if (asleep := self._slot.asleep) is None else asleep.level

    def flush(self) -> None:
        """Drop every cached page, soon; what sequences use stays."""
        self._commands.put(self._operations.flush)

    # Requests

    def create_request(
        self, id: str, prompt: abc.Sequence[int], max_tokens: int, sampling: Sampling | None = None
    ) -> Request:
        """A request by its essentials."""
        return Request(id, tuple(prompt), max_tokens, sampling or Sampling())

    def add_request(self, request: Request, needs: Needs = READY) -> int:
        """Accept a request: from now on it ends exactly once. Returns its number: a load whose
        `taken` is as large knows the request. It waits until each of its needs is met.

        Raises InvalidRequest, Overloaded, WorkerUnavailable, and EngineNotReady in a forked child.
        """
        self.process.check()
        limits = self._slot.limits
        if limits is None or self._commands.closed or self._slot.asleep is not None:
            raise self._refusal()
        check(request, limits)
        now = self._clock()
        deadline = None if request.deadline_s is None else now + request.deadline_s
        sequence = Sequence(
            request, deadline, limits.longest, needs, pooled_of(request, limits.config.pooling)
        )
        try:
            number = self._commands.accept(
                request, limits.capacity, lambda: self._operations.add(sequence, limits, now)
            )
        except Closed:
            raise self._refusal() from None
        if request.sampling.grammar and limits.matchers is not None:
            self._grammars.make(request, limits.matchers)
        return number

    def _matcher_made(self, request_id: str, matcher: Matcher | None, why: str) -> None:
        """What follows an answer in its grammar is there, or cannot be had."""
        self._commands.put(lambda: self._operations.take_matcher(request_id, matcher, why))

    def meet_need(self, request_id: str, need: Need) -> None:
        """A request needs this no more, whatever came of it. One that has ended, or never was, is
        no error."""
        self._commands.put(lambda: self._operations.meet_need(request_id, need))

    def abort_request(self, request_id: str) -> None:
        """End a request with `abort`; one that has ended, or never was, is no error."""
        self._commands.put(lambda: self._operations.abort(request_id))

    def drain(self) -> None:
        """Accept nothing from now on, and say so in the load."""
        self._commands.drain(self._teller.look)

    def lose_device(self, why: DeviceLost) -> None:
        """Its device is gone: every request ends, as others can go on with it. The fault is there
        at once, for the engine thread may be waiting for that very device."""
        self._lost = why
        self._commands.put(lambda: self._operations.lose(why))

    # Pages and debug calls

    def read_pages(self, names: abc.Sequence[bytes]) -> list[bytes]:
        """Contents of the longest beginning of these pages that is here."""
        return list(self._commands.call(lambda: self._operations.read_pages(names), ANSWER_S))

    def write_pages(self, names: abc.Sequence[bytes], contents: abc.Sequence[bytes]) -> int:
        """Keep pages that another engine of this model has computed, as cached ones, while there
        are free ones; how many are new. ValueError for what is no page of this model."""
        write = self._operations.write_pages
        return int(self._commands.call(lambda: write(names, contents), ANSWER_S))

    def debug_call_func_on_all_worker(self, name: str, args: abc.Sequence[Any] = ()) -> list[Any]:
        """Run a registered function on every rank; each rank's result, or the exception it raised.

        LookupError for a name that `raylax.worker.ranks.debug` does not know.
        """
        return list(self._commands.call(lambda: self._operations.call(name, args), ANSWER_S))

    # What can be known

    @property
    def config(self) -> EngineConfig:
        """The complete configuration. Raises EngineNotReady while no model is loaded."""
        return self._limits().config

    def get_complete_engine_config(self) -> str:
        """JSON with every inferred value."""
        return self.config.asjson()

    @property
    def vocab(self) -> int:
        """Token ids are below this."""
        return self._limits().vocab

    @property
    def cores(self) -> tuple[int, ...]:
        """Cores that its threads have to themselves; none when the system places them."""
        return cores.ids if (cores := self._slot.cores) is not None else ()

    @property
    def shards(self) -> list[dict[str, Any]]:
        """Where the ranks beyond the first are; none for an engine of one."""
        model = self._slot.model
        return model.executor.describe() if model is not None else []

    @property
    def fault(self) -> str | None:
        """Why the engine can no longer serve; None while it can."""
        model = self._slot.model
        lost = model.executor.fault if model is not None else None
        if lost is None and self._lost is not None:
            return str(self._lost)
        return lost or self._status.fault

    @property
    def trace(self) -> TraceRecorder | None:
        """What records its events, if anything does."""
        return self._teller.trace

    def _traces_of_others(self, name: str) -> list[ProcessTrace]:
        """None of an engine that has no other ranks, or has lost one: then they say no more."""
        if not self.shards:
            return []
        try:
            return traces_of_others(self.debug_call_func_on_all_worker, name)
        except (EngineNotReady, EngineLost, CommError, OSError) as error:
            log.warning("what other ranks have run is not known: %s", error)
            return []

    def metrics(self) -> dict[str, Any]:
        """What it has done since its model was loaded, or since the last `reset`: see
        `EngineMetrics`."""
        return self._teller.metrics.numbers()

    def load(self) -> Load:
        """How the engine stood after its last step or command."""
        return self._status.load

    @property
    def census(self) -> Census:
        """Who is there, by class and tenant, a second ago at most."""
        return self._status.census

    @property
    def done(self) -> dict[str, Any]:
        """What its steps have come to since its start: seconds by part, tokens of steps, pages that
        came from other engines and went to them, and that came back from host memory."""
        model = self._slot.model
        return model.batch.counters.told if model is not None else Counters().told

    def snapshot(self) -> StatusSnapshot:
        """The load with its age in seconds."""
        return self._status.snapshot

    @property
    def live(self) -> int:
        """Requests that were accepted and have not ended."""
        return len(self._commands.live)

    def _limits(self) -> ModelLimits:
        if (limits := self._slot.limits) is None:
            raise EngineNotReady("no model is loaded")
        return limits

    def _refusal(self) -> WorkerUnavailable:
        """Why no request can be taken; a router then asks another worker."""
        if self._status.broken is not None:
            return WorkerUnavailable(self._status.broken)
        if self._commands.draining:
            return WorkerUnavailable("the engine is being drained")
        ended = "the engine has been terminated"
        nothing = str(self._slot.asleep or "no model is loaded")
        return WorkerUnavailable(ended if self._commands.closed else nothing)
