"""What the engine thread tells: those who listen, count or record, and who wants to know how it
stands."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from raylax.proto.vocabulary import Delta
from raylax.worker.engine.commands import CommandQueue
from raylax.worker.engine.engine_metrics import EngineMetrics
from raylax.worker.engine.model.loading import LoadedModel
from raylax.worker.engine.model.slot import ModelSlot
from raylax.worker.engine.outputs import OutputQueue
from raylax.worker.engine.status import EngineStatus
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.scheduling.load import load_of
from raylax.worker.scheduling.sequence import Sequence


class Teller:
    """Used by the engine thread; any may look at `status`, `metrics` and `trace`."""

    def __init__(
        self,
        slot: ModelSlot,
        commands: CommandQueue,
        outputs: OutputQueue,
        clock: Callable[[], float],
    ) -> None:
        self.status, self.metrics = EngineStatus(clock), EngineMetrics(clock)
        self.trace: TraceRecorder | None = None
        self._slot, self._commands, self._outputs = slot, commands, outputs
        self._taken = 0  # requests that the engine thread has taken up

    def loaded(self, model: LoadedModel) -> None:
        """It is what is told of from now on."""
        self.metrics.follow(model.batch.counters)
        self.status.failures = 0
        self.look()

    def emptied(self) -> None:
        """Nobody is here any more, and nothing is held."""
        load = self.status.load
        pages = load.pages_total
        self.status.note(
            replace(load, running=0, waiting=0, queued_tokens=0, pages_free=pages, pages_cached=0)
        )

    def look(self) -> None:
        """Note how the engine stands now."""
        if (model := self._slot.model) is not None:
            self.status.note(load_of(model.batch, self._taken, self._commands.draining))
            self.status.look_around(model.batch.roster)

    def added(self, one: Sequence, asked: float) -> None:
        """A request has been taken up, which was asked for at that time."""
        if self.trace is not None:
            self.trace.added(one, asked)
        self.metrics.added(one.request)
        self._taken += 1

    def ready(self, request_id: str) -> None:
        """It needs nothing more."""
        if self.trace is not None:
            self.trace.ready(request_id)

    def began(self, request_ids: list[str]) -> None:
        """Tell that these requests have left the queue, before a step that may fail of it."""
        self.send([Delta(request_id, began=True) for request_id in request_ids])

    def send(self, deltas: list[Delta], step: bool = False) -> None:
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
        model = self._slot.model
        if model is not None and (changes := model.batch.roster.pool.changes()):
            self._outputs.pages(changes)

    def close(self) -> None:
        """Tell that nothing comes any more."""
        self._outputs.close()

    def doing(self, name: str, **args: Any) -> AbstractContextManager[dict[str, Any]]:
        """What is inside is an event of the engine thread, with what is put into the dict."""
        return nullcontext({}) if self.trace is None else self.trace.doing(name, **args)
