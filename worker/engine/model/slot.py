"""The place of an engine's model: empty, taken, or kept for one that sleeps."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from raylax.kernels.options import ProgressCallback
from raylax.worker.config import EngineConfig
from raylax.worker.engine.model.limits import ModelLimits
from raylax.worker.engine.model.loading import LoadedModel, assemble, load_executor
from raylax.worker.engine.model.sleeping import Sleep, let_go
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.errors import EngineNotReady
from raylax.worker.grammars.masks import Masks
from raylax.worker.hardware.cores import Cores, keep_to_own_cores, usable_cores
from raylax.worker.ranks.loading import degree_of
from raylax.worker.ranks.startup import Spawner


class ModelSlot:
    """The engine thread alone calls its methods; any may look at its fields. Whoever empties it has
    ended all requests before."""

    def __init__(self, clock: Callable[[], float], spawner: Spawner) -> None:
        self.device = "cpu"
        self.model: LoadedModel | None = None
        self.limits: ModelLimits | None = None
        """Of the model, or of the one that is to come back; None while there is neither."""
        self.asleep: Sleep | None = None
        """Its model is to come back; there is none meanwhile."""
        self.cores: Cores | None = None
        """None before the first model."""
        self.masks = Masks()
        self._clock, self._spawner = clock, spawner
        self._asked_utilization: float | None = None  # of the model that is loaded, or asleep
        self._mapped: Path | None = None  # by the model that is asleep

    def loaded(self) -> LoadedModel:
        """Its model. Raises EngineNotReady where there is none."""
        if self.model is None:
            raise EngineNotReady(str(self.asleep or "no model is loaded"))
        return self.model

    def load(
        self,
        config: EngineConfig,
        progress: ProgressCallback,
        began: Callable[[list[str]], None],
        trace: TraceRecorder | None,
    ) -> LoadedModel:
        """Load the model that the config names, in the place of what was here. `began`, `trace`:
        who hears what its batch does. Raises what keeps it from loading; it is empty then."""
        self.unload()  # before others take its memory
        self._asked_utilization = config.gpu_memory_utilization
        self.cores = self.cores or place(config)
        config = config.complete(pin_threads=bool(self.cores.ids))
        executor = load_executor(config, self.device, self._spawner, progress)
        try:
            model = assemble(executor, config, self._clock, began, progress)
            model.batch.beside = self.masks.ready_behind
            if trace is not None:
                executor.call("raylax.debug.trace", [trace.most])
                model.batch.trace, trace.rank = trace, executor.rank.trace
        except BaseException:
            executor.close()
            raise
        self.model, self.limits = model, model.limits
        return model

    def unload(self) -> None:
        """Have no model any more, and none that is to come back."""
        model, self.limits, self.asleep = self.take(), None, None
        if model is not None:
            model.executor.close()
            del model
            gc.collect()  # what is in a cycle has a device's memory until that is found

    def take(self) -> LoadedModel | None:
        """Its model, which is the caller's to close, if there is one."""
        model, self.model = self.model, None
        return model

    def sleep(self, level: int) -> None:
        """Give back the memory of the model, and keep in mind what it was; or sleep deeper. Raises
        EngineNotReady without a model."""
        if self.asleep is None:
            limits, self._mapped = self.loaded().limits, self.loaded().executor.rank.model.mapped
            asked = limits.config.complete(gpu_memory_utilization=self._asked_utilization)
            self.unload()
            self.limits = limits  # it is known what it will be
            self.asleep = Sleep(level, asked)
        else:
            self.asleep = Sleep(max(level, self.asleep.level), self.asleep.config)
        if level > 1:
            let_go(self.asleep.config.checkpoint, self._mapped)

    @contextmanager
    def asleep_unless_loaded(self) -> Iterator[None]:
        """If loading the model that sleeps fails inside, it sleeps on."""
        asleep, limits = self.asleep, self.limits
        try:
            yield
        except BaseException:
            self.asleep, self.limits = asleep, limits
            raise


def place(config: EngineConfig) -> Cores:
    """Claim cores for the engine, if it is to have its own. Called before the first model runs:
    TVM's threads are made once, and inherit our cores."""
    if config.pin_threads:
        ranks = degree_of(config).ranks
        return keep_to_own_cores(config.threads or max(1, usable_cores() // ranks))
    return Cores()
