"""What the engine thread does: it takes commands, and runs steps while anybody has one to run.

It alone touches the model, the batch and the pages. What a command or a step came to goes to the
output queue, and how the engine stands then to where all can see it.
"""

import gc
import logging
from collections import abc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from raylax.kernels.build import sampler_for
from raylax.kernels.options import ProgressCallback, silent
from raylax.proto.vocabulary import Delta, Fault, Finish, Load
from raylax.worker.config import ECHO, EngineConfig
from raylax.worker.engine.commands import CommandQueue
from raylax.worker.engine.echo import EchoBatch, EchoExecutor, EchoRoster
from raylax.worker.engine.engine_metrics import EngineMetrics
from raylax.worker.engine.limits import ModelLimits
from raylax.worker.engine.outputs import OutputQueue
from raylax.worker.engine.self_check import SelfCheck
from raylax.worker.engine.sleeping import Sleep, check_level, let_go
from raylax.worker.engine.status import EngineStatus
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.errors import DeviceLost, EngineLost, EngineNotReady
from raylax.worker.hardware.cores import Cores, keep_to_own_cores, usable_cores
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.ranks.drafts.loading import load_proposer
from raylax.worker.ranks.executor import Executor, SingleRank
from raylax.worker.ranks.leader import RankGroup
from raylax.worker.ranks.loading import checkpoint_of, complete, degree_of
from raylax.worker.ranks.startup import Spawner
from raylax.worker.ranks.warm_up import warm_up
from raylax.worker.sampling.sampler import Sampler, single_threaded
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.load import load_of
from raylax.worker.scheduling.outcomes import StepFailed, failed
from raylax.worker.scheduling.readiness import Need
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence

log = logging.getLogger(__name__)


class Loop:
    """Body of the engine thread, which calls `run`. The other public methods are commands: they are
    carried out there, between two steps. Any thread may look at `status`, `metrics`, `executor`,
    `limits` and `cores`."""

    def __init__(
        self,
        commands: CommandQueue,
        outputs: OutputQueue,
        clock: Callable[[], float],
        spawner: Spawner,
    ) -> None:
        self.status = EngineStatus(clock)
        self.device = "cpu"
        self.trace: TraceRecorder | None = None
        self.batch: Batch | None = None
        self.executor: Executor | None = None
        self.limits: ModelLimits | None = None
        """The model; None while there is none."""
        self.asleep: Sleep | None = None
        """Its model is to come back; there is none meanwhile."""
        self.cores: Cores | None = None
        """None before the first model."""
        self.metrics = EngineMetrics(clock)
        self._commands, self._outputs = commands, outputs
        self._clock, self._spawner = clock, spawner
        self._self_check: SelfCheck  # of the model that is loaded
        self._asked_utilization: float | None = None  # of the model that is loaded, or asleep
        self._mapped: Path | None = None  # by the model that is asleep
        self._taken = 0  # requests that this thread has taken up

    def run(self) -> None:
        """Returns when the commands are closed, or when the engine is broken.

        A step that fails ends only who is to blame. When a rank or a device is lost, the model
        turns out to be damaged, or anything else raises, which is a bug of ours, every request ends
        with an error: nobody would ever answer it.
        """
        while self.turn(self._spare_s()):
            pass

    def turn(self, wait_s: float | None) -> bool:
        """Carry out commands, after waiting so long for one, and run a step, if anybody has one to
        run. False: it was the last one."""
        try:
            self._commands.carry_out(wait_s)
            if not self._commands.closed:
                if self.batch is not None and not self.batch.roster.idle:
                    self._step(self.batch)
                return True
            self._end_everything()
        except EngineLost as error:
            log.error("the engine is over: %s", error)
            self.status.broken, self.status.blame = str(error), Fault.UNAVAILABLE
        except Exception as error:
            log.exception("the engine thread has failed")
            why = f"the engine thread has failed: {type(error).__name__}: {error}"
            self.status.broken = why
        self._close()
        return False

    # Commands

    def load(self, config: EngineConfig, progress: ProgressCallback) -> None:
        """Load the model that the config names. Raises what keeps it from loading; there is no
        model then."""
        with self._doing("load model", model=config.model):
            self._load(config, progress)

    def _load(self, config: EngineConfig, progress: ProgressCallback) -> None:
        self._end_everything()
        self._unload()  # before others take its memory
        self.asleep, self._asked_utilization = None, config.gpu_memory_utilization
        self.cores = self.cores or place(config)
        config = config.complete(pin_threads=bool(self.cores.ids))
        echoes = config.model_lib == ECHO
        if echoes:
            config = config.complete(speculative_mode="disable", additional_models=())
        executor = self._load_executor(config, progress)
        sizes, model = executor.sizes, executor.rank.model
        try:
            ready = complete(config, sizes, model)
            known = warm_up(executor, checkpoint_of(config))
            sampler = single_threaded() if echoes else Sampler(sampler_for(model.options))
            drafts = load_proposer(config, model, sizes, sampler, progress)
        except BaseException:
            executor.close()
            raise
        kept = ready.prefix_cache_max_num_recycling_seqs
        pool = PagePool(sizes.pages, config.prefix_cache_mode == "radix", kept)
        limits = StepLimits(
            sizes.prefill_chunk_size,
            sizes.max_num_sequence,
            sizes.drafted,
            config.prefill_mode == "chunked",
        )
        self.executor = executor
        self._self_check = SelfCheck(known, self._clock)
        draws, submit = model.draws, executor.submit
        parts = limits, executor.run, self._began, draws, submit, drafts, sampler
        if echoes:
            roster = EchoRoster(pool, self._clock, vocab=model.spec.vocab)
            self.batch = EchoBatch(roster, *parts, spec=model.spec)
        else:
            self.batch = Batch(Roster(pool, self._clock), *parts)
        self.metrics.follow(self.batch.counters)
        if self.trace is not None:
            executor.call("raylax.debug.trace", [self.trace.most])
            self.batch.trace, self.trace.rank = self.trace, executor.rank.trace
        self.limits = ModelLimits(ready, model.spec.vocab, not model.draws)
        self.status.failures = 0
        self.look()

    def _load_executor(self, config: EngineConfig, progress: ProgressCallback) -> Executor:
        if config.model_lib == ECHO:
            return EchoExecutor.load(config)
        if degree_of(config).ranks == 1:
            return SingleRank.load(config, self.device, progress)
        return RankGroup.load(config, self.device, progress, self._spawner)

    def sleep(self, level: int) -> None:
        """Give back the memory of the model, and keep in mind what it was. Requests that run are
        aborted. Raises ConfigError for what is no level, EngineNotReady without a model."""
        check_level(level)
        if self.asleep is None:
            _, executor = self._loaded()
            assert self.limits is not None
            self._end_everything()
            mapped, config = executor.rank.model.mapped, self.limits.config
            asked = config.complete(gpu_memory_utilization=self._asked_utilization)
            limits = self.limits
            del executor
            self._unload()
            self.status.note(emptied(self.status.load))
            self.limits = limits  # it is known what it will be
            self.asleep, self._mapped = Sleep(level, asked), mapped
        else:
            self.asleep = Sleep(max(level, self.asleep.level), self.asleep.config)
        if level > 1:
            let_go(checkpoint_of(self.asleep.config), self._mapped)

    def wake_up(self) -> None:
        """Load the model again, of the same sizes; nothing if it is there. Raises as `load`, and is
        asleep then as before."""
        if (asleep := self.asleep) is None:
            self._loaded()
            return
        limits = self.limits
        try:
            self.load(asleep.config, silent)
        except BaseException:
            self.asleep, self.limits = asleep, limits
            raise

    def unload(self) -> None:
        """End every request, and have no model any more until one is loaded."""
        self._end_everything()
        self._unload()
        self.asleep = None
        self.status.note(emptied(self.status.load))

    def lose(self, why: DeviceLost) -> None:
        """The engine's device is gone, as somebody else has noticed. Raises what is said of it."""
        if self.status.broken is None:
            raise why

    def start_over(self) -> None:
        """Abort every request, drop every cached page, and begin to count anew."""
        self._end_everything()
        self.flush()
        self.metrics.reset()

    def flush(self) -> None:
        """Drop every cached page; what sequences use stays."""
        if self.batch is not None:
            self.batch.roster.pool.drop_cached()
            self._send([])

    def add(self, one: Sequence, limits: ModelLimits, asked: float) -> None:
        """Let a sequence wait for its turn, which was asked for at that time. One that was checked
        against a model that is gone ends as those that ran on it did."""
        request = one.request
        if self.trace is not None:
            self.trace.added(one, asked)
        self.metrics.added(request)
        self._taken += 1
        if self.batch is None or limits is not self.limits:
            self._send([Delta(request.id, finish=Finish.ABORT)])
            return
        try:
            self.batch.roster.add(one)
        except ValueError as error:  # it does not fit, which is nobody else's fault
            self._send([failed(request.id, str(error))])
        self.look()

    def meet_need(self, request_id: str, need: Need) -> None:
        """A request needs this no more; one that has ended, or never was, is no error."""
        if self.batch is not None:
            if self.trace is not None:
                self.trace.ready(request_id)
            self.batch.roster.meet_need(request_id, need)
            self.look()

    def abort(self, request_id: str) -> None:
        """End a request; one that has ended, or never was, is no error."""
        if self.batch is not None and self.batch.roster.remove(request_id):
            self._send([Delta(request_id, finish=Finish.ABORT)])

    def look(self) -> None:
        """Note how the engine stands now."""
        if self.batch is not None:
            self.status.note(load_of(self.batch, self._taken, self._commands.draining))

    def read_pages(self, names: abc.Sequence[bytes]) -> list[bytes]:
        """Contents of the longest beginning of these pages that is here."""
        batch, executor = self._loaded()
        with self._doing("hand pages out", asked=len(names)) as told:
            pages = executor.read_pages(batch.roster.pool.find(names))
            told["pages"] = len(pages)
        return pages

    def write_pages(self, names: abc.Sequence[bytes], contents: abc.Sequence[bytes]) -> int:
        """Keep those of these pages that are not here, while there are free ones; how many are
        new."""
        batch, executor = self._loaded()
        pool, given = batch.roster.pool, zip(names, contents, strict=False)
        new = [(name, content) for name, content in given if not pool.find([name])][: pool.free]
        said = self._doing("take pages in", pages=len(new))
        with said, pool.cache([name for name, _ in new]) as pages:
            executor.write_pages(pages, [content for _, content in new])
        self._send([])
        return len(new)

    def call(self, name: str, args: abc.Sequence[Any]) -> list[Any]:
        """Run a debug function on every rank; the result of each."""
        return self._loaded()[1].call(name, args)

    def _doing(self, name: str, **args: Any) -> AbstractContextManager[dict[str, Any]]:
        """What is inside is an event of the engine thread, with what is put into the dict."""
        return nullcontext({}) if self.trace is None else self.trace.doing(name, **args)

    def _loaded(self) -> tuple[Batch, Executor]:
        if self.batch is None or self.executor is None:
            raise EngineNotReady(str(self.asleep or "no model is loaded"))
        return self.batch, self.executor

    def _unload(self) -> None:
        executor, self.limits, self.batch, self.executor = self.executor, None, None, None
        if executor is not None:
            executor.close()
            del executor
            gc.collect()  # what is in a cycle has a device's memory until that is found

    def _end_everything(self) -> None:
        if self.batch is not None:
            for one in self.batch.roster.everyone():
                self.abort(one.request.id)

    # Steps

    def _spare_s(self) -> float | None:
        """How long the thread may wait for a command: not while there is something to compute, and
        no longer than until a deadline. None: for ever."""
        if self.batch is None:
            return None
        roster = self.batch.roster
        return 0.0 if roster.runnable else roster.due_in(self._clock())

    def _step(self, batch: Batch) -> None:
        now = self._clock()
        deltas = [late(request_id) for request_id in batch.roster.expire(now)]
        if not batch.roster.runnable:
            self._send(deltas)
            return
        self.status.busy_since = now
        try:
            deltas += batch.step()
            self._self_check.after_step(self._loaded()[1], batch.counters.unanswered)
            self.status.failures = 0
        except StepFailed as failure:
            log.exception("a step failed; %d of its requests end", len(failure.request_ids))
            self.status.failures += 1
            deltas += [
                Delta(id, finish=Finish.ERROR, error=str(failure)) for id in failure.request_ids
            ]
        self.status.busy_since = None
        self._send(deltas, step=True)

    def _began(self, request_ids: list[str]) -> None:
        """Tell that these requests have left the queue, before a step that may fail of it."""
        self._send([Delta(request_id, began=True) for request_id in request_ids])

    # What is told

    def _send(self, deltas: list[Delta], step: bool = False) -> None:
        """Tell the stream-back thread, which hears of a step even if nobody has anything of it. A
        request that ends is no longer live."""
        self.look()
        self.metrics.heard(deltas)
        if ended := [delta.request_id for delta in deltas if delta.finish is not None]:
            self._commands.ended(ended)
        if self.trace is not None:
            self.trace.heard(deltas)
        if deltas or step:
            self._outputs.step(deltas, self.status.load)
        if self.batch is not None and (changes := self.batch.roster.pool.changes()):
            self._outputs.pages(changes)

    def _close(self) -> None:
        """The thread's last act: whoever still waits for an answer gets one, and memory is freed.

        Nothing here touches the batch, which may be what broke.
        """
        self._commands.close()
        status, executor, self.batch, self.executor = self.status, self.executor, None, None
        status.busy_since = None
        status.note(emptied(status.load))
        if self.cores is not None:
            self.cores.release()
        self._commands.carry_out(0.0)
        finish = Finish.ABORT if status.broken is None else Finish.ERROR
        end = Delta("", finish=finish, error=status.broken, fault=status.blame)
        self._send([end._replace(request_id=id) for id in self._commands.live])
        self._outputs.close()
        if executor is not None:
            executor.close()


def emptied(load: Load) -> Load:
    """The load without requests and what they held."""
    pages = load.pages_total
    return replace(load, running=0, waiting=0, queued_tokens=0, pages_free=pages, pages_cached=0)


def place(config: EngineConfig) -> Cores:
    """Claim cores for the engine, if it is to have its own. Called before the first model runs:
    TVM's threads are made once, and inherit our cores."""
    if config.pin_threads:
        ranks = degree_of(config).ranks
        return keep_to_own_cores(config.threads or max(1, usable_cores() // ranks))
    return Cores()


def late(request_id: str) -> Delta:
    """The end of a request whose deadline has passed."""
    why = "the request's deadline has passed"
    return Delta(request_id, finish=Finish.ERROR, error=why, fault=Fault.DEADLINE)
