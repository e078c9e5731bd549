"""What an engine runs its step plans on: the contract, and a rank alone. Several ranks are a
`RankGroup`, in `leader.py`."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

from raylax.kernels.build import load_whole
from raylax.kernels.model import PendingStep, StepOutput
from raylax.kernels.options import ProgressCallback
from raylax.worker.config import EngineConfig, Sizes
from raylax.worker.hardware.watched_device import WatchedDevice
from raylax.worker.ranks import debug
from raylax.worker.ranks.loading import plan_rank
from raylax.worker.ranks.rank import Rank
from raylax.worker.scheduling.batch import Submit
from raylax.worker.scheduling.step_plan import StepPlan


class Executor(Protocol):
    """Runs the step plans of an engine. The engine thread calls it; any thread may read the rest.

    When a rank or its device is lost, whatever runs raises EngineLost, and the executor only serves
    to be closed.
    """

    @property
    def rank(self) -> Rank:
        """Rank 0, which is in this process and has the outputs."""
        ...

    @property
    def sizes(self) -> Sizes:
        """How much each rank can hold."""
        ...

    @property
    def fault(self) -> str | None:
        """Which rank or device was lost, and how; None while all are there."""
        ...

    def run(self, plan: StepPlan) -> StepOutput:
        """Run a step; its output has a row for each of the plan's `rows`. Raises EngineLost."""
        ...

    @property
    def submit(self) -> Submit | None:
        """Gives a device a step that it does while the engine goes on; raises EngineLost, as its
        output does. None where steps are done by those who run them."""
        ...

    def call(self, name: str, args: Sequence[Any]) -> list[Any]:
        """Run a debug function on every rank; in order of rank each one's result, or the exception
        that it raised. LookupError for a name that is not registered."""
        ...

    def describe(self) -> list[dict[str, Any]]:
        """Rank, host, pid and cores of every rank but rank 0, and its GPU's UUID if it has one."""
        ...

    def read_pages(self, pages: Sequence[int]) -> list[bytes]:
        """Keys and values of each page, laid out as `page_layout.py` says. Raises EngineLost."""
        ...

    def write_pages(self, pages: Sequence[int], contents: Sequence[bytes]) -> None:
        """Put into each page what `read_pages` gave on an engine of the same model, whatever the
        number of its ranks. Raises EngineLost, and ValueError for what cannot be a page."""
        ...

    def close(self) -> None:
        """End all other ranks, and free what they shared."""
        ...


class WatchedStep:
    """A step on a device that may be lost."""

    def __init__(self, pending: PendingStep, device: WatchedDevice) -> None:
        self._pending, self._device = pending, device

    @property
    def is_last(self) -> bool:
        return self._pending.is_last

    @property
    def is_done(self) -> bool:
        """Raises DeviceLost."""
        with self._device:
            return self._pending.is_done

    def output(self) -> StepOutput:
        """Raises DeviceLost."""
        with self._device:
            return self._pending.output()


class SingleRank:
    """The executor of an engine whose only rank is in this process."""

    def __init__(self, rank: Rank, sizes: Sizes) -> None:
        self.rank, self.sizes = rank, sizes
        self.submit = self._submit if rank.submits else None
        self._device = WatchedDevice(rank.model.options.device)
        self._given: WatchedStep | None = None

    @property
    def fault(self) -> str | None:
        return self._device.fault

    @classmethod
    def load(cls, config: EngineConfig, device: str, progress: ProgressCallback) -> "SingleRank":
        """Size, build and load. `config` names its model and its mode.

        Raises ConfigError, KernelsError, DeviceLost.
        """
        options, sizes = plan_rank(config, device)
        with WatchedDevice(device):
            model = load_whole(config.checkpoint, options, sizes.pages, progress=progress)
        return cls(Rank(model), sizes)

    def run(self, plan: StepPlan) -> StepOutput:
        with self._device:
            output = self.rank.run(plan)
        assert output is not None
        return output

    def _submit(self, plan: StepPlan) -> WatchedStep:
        with self._device:
            self._given = WatchedStep(self.rank.submit(plan), self._device)
        return self._given

    def call(self, name: str, args: Sequence[Any]) -> list[Any]:
        return self._device.check(debug.call(self.rank, name, args))

    def describe(self) -> list[dict[str, Any]]:
        return []

    def read_pages(self, pages: Sequence[int]) -> list[bytes]:
        with self._device:
            return [self.rank.model.read_page(page) for page in pages]

    def write_pages(self, pages: Sequence[int], contents: Sequence[bytes]) -> None:
        with self._device:
            for page, content in zip(pages, contents, strict=True):
                self.rank.model.write_page(page, content)

    def close(self) -> None:
        """Its memory goes with it, when the device uses it no more."""
        if self._given is not None and self._given.is_last:
            with suppress(Exception):
                self._given.output()
