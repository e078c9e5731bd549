"""What commands do: the engine thread carries them out, between two steps."""

from collections import abc
from typing import Any

from raylax.kernels.options import ProgressCallback, silent
from raylax.proto.grammar.matcher import Matcher
from raylax.proto.vocabulary import Delta, Finish
from raylax.worker.config import EngineConfig
from raylax.worker.engine.model.limits import ModelLimits
from raylax.worker.engine.model.sleeping import check_level
from raylax.worker.engine.model.slot import ModelSlot
from raylax.worker.engine.teller import Teller
from raylax.worker.errors import ConfigError, DeviceLost
from raylax.worker.scheduling.outcomes import failed
from raylax.worker.scheduling.readiness import Need
from raylax.worker.scheduling.sequence import Sequence


def loadable(config: EngineConfig) -> EngineConfig:
    """One that names its model; its mode is local where it says nothing. Raises ConfigError."""
    if not isinstance(config, EngineConfig) or config.model is None:
        raise ConfigError(f"reload: needs an EngineConfig that names a model, found {config!r:.80}")
    return config if config.mode is not None else config.complete(mode="local")


class Operations:
    """On an engine's model, its requests and its pages. What they come to is told."""

    def __init__(self, slot: ModelSlot, teller: Teller) -> None:
        self._slot, self._teller = slot, teller

    # The model

    def load(self, config: EngineConfig, progress: ProgressCallback) -> None:
        """Load the model that the config names. Raises what keeps it from loading; there is no
        model then. One that names none is refused before anything ends."""
        teller, config = self._teller, loadable(config)
        with teller.doing("load model", model=config.model):
            self.end_everything()
            try:
                model = self._slot.load(config, progress, teller.began, teller.trace)
            except BaseException:
                teller.emptied()
                raise
            teller.loaded(model)

    def sleep(self, level: int) -> None:
        """Give back the memory of the model, and keep in mind what it was. Requests that run are
        aborted. Raises ConfigError for what is no level, EngineNotReady without a model."""
        check_level(level)
        is_awake = self._slot.asleep is None
        self.end_everything()
        self._slot.sleep(level)
        if is_awake:
            self._teller.emptied()

    def wake_up(self) -> None:
        """Load the model again, of the same sizes; nothing if it is there. Raises as `load`, and is
        asleep then as before."""
        if (asleep := self._slot.asleep) is None:
            self._slot.loaded()
            return
        with self._slot.asleep_unless_loaded():
            self.load(asleep.config, silent)

    def unload(self) -> None:
        """End every request, and have no model any more until one is loaded."""
        self.end_everything()
        self._slot.unload()
        self._teller.emptied()

    def lose(self, why: DeviceLost) -> None:
        """The engine's device is gone, as somebody else has noticed. Raises what is said of it."""
        if self._teller.status.broken is None:
            raise why

    # Requests

    def add(self, one: Sequence, limits: ModelLimits, asked: float) -> None:
        """Let a sequence wait for its turn, which was asked for at that time. One that was checked
        against a model that is gone ends as those that ran on it did."""
        request, model = one.request, self._slot.model
        self._teller.added(one, asked)
        if model is None or limits is not model.limits:
            self._teller.send([Delta(request.id, finish=Finish.ABORT)])
            return
        try:
            model.batch.roster.add(one)
        except ValueError as error:  # it does not fit, which is nobody else's fault
            self._teller.send([failed(request.id, str(error))])
        self._teller.look()

    def meet_need(self, request_id: str, need: Need) -> None:
        """A request needs this no more; one that has ended, or never was, is no error."""
        if (model := self._slot.model) is not None:
            self._teller.ready(request_id)
            model.batch.roster.meet_need(request_id, need)
            self._teller.look()

    def take_matcher(self, request_id: str, matcher: Matcher | None, why: str) -> None:
        """A request has what follows its answer in its grammar; or, without that, it ends."""
        if (model := self._slot.model) is None:
            return
        if matcher is not None:
            model.batch.roster.take_matcher(request_id, matcher)
            self.meet_need(request_id, Need.GRAMMAR)
        elif model.batch.roster.remove(request_id):
            self._teller.send([failed(request_id, why)])

    def abort(self, request_id: str) -> None:
        """End a request; one that has ended, or never was, is no error."""
        if (model := self._slot.model) is not None and model.batch.roster.remove(request_id):
            self._teller.send([Delta(request_id, finish=Finish.ABORT)])

    def end_everything(self) -> None:
        """End every request."""
        if (model := self._slot.model) is not None:
            for one in model.batch.roster.everyone():
                self.abort(one.request.id)

    def start_over(self) -> None:
        """Abort every request, drop every cached page, and begin to count anew."""
        self.end_everything()
        self.flush()
        self._teller.metrics.reset()

    # Pages and debug calls

    def flush(self) -> None:
        """Drop every cached page; what sequences use stays."""
        if (model := self._slot.model) is not None:
            model.batch.roster.pool.drop_cached()
            self._teller.send([])

    def read_pages(self, names: abc.Sequence[bytes]) -> list[bytes]:
        """Contents of the longest beginning of these pages that is here."""
        model = self._slot.loaded()
        with self._teller.doing("hand pages out", asked=len(names)) as told:
            pages = model.executor.read_pages(model.batch.roster.pool.find(names))
            told["pages"] = len(pages)
            model.batch.counters.pages_handed_out += len(pages)
        return pages

    def write_pages(self, names: abc.Sequence[bytes], contents: abc.Sequence[bytes]) -> int:
        """Keep those of these pages that are not here, while there are free ones; how many are
        new."""
        model = self._slot.loaded()
        pool, given = model.batch.roster.pool, zip(names, contents, strict=False)
        new = [(name, content) for name, content in given if not pool.find([name])][: pool.free]
        said = self._teller.doing("take pages in", pages=len(new))
        with said, pool.cache([name for name, _ in new]) as pages:
            model.executor.write_pages(pages, [content for _, content in new])
            model.batch.counters.pages_fetched += len(new)
        self._teller.send([])
        return len(new)

    def call(self, name: str, args: abc.Sequence[Any]) -> list[Any]:
        """Run a debug function on every rank; the result of each. A text is one argument."""
        given = [args] if isinstance(args, str) else args
        return self._slot.loaded().executor.call(name, given)
