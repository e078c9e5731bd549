"""A thread that looks at an engine's GPUs once a second: never in a step, whatever NVML takes."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Protocol, Self

from raylax.worker.errors import DeviceLost
from raylax.worker.hardware.energy import EnergyMeter
from raylax.worker.hardware.lost_devices import note
from raylax.worker.hardware.nvml import GpuSample, NoNvml, Nvml

log = logging.getLogger(__name__)
EVERY_S = 1.0
NOTHING: dict[str, Any] = {"gpus": [], "energy_j": None, "joules_per_token": None}
"""What is reported of a worker without a GPU."""


class Sampler(Protocol):
    """`Nvml`, as far as it is needed here."""

    def sample(self) -> Sequence[GpuSample]:
        """Raises DeviceLost."""
        ...


class GpuWatch:
    """What is known of an engine's GPUs, of all its ranks; who is lost is told once."""

    def __init__(
        self,
        nvml: Sampler,
        share: float,
        tokens: Callable[[], int],
        on_lost: Callable[[DeviceLost], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`share`: of each GPU, for this engine; `tokens`: how many it has generated."""
        self._nvml, self._tokens, self._on_lost, self._clock = nvml, tokens, on_lost, clock
        self._meter = EnergyMeter(share)
        self._report = NOTHING
        self._ending = threading.Event()

    @classmethod
    def of(
        cls,
        uuids: Sequence[str],
        share: float,
        tokens: Callable[[], int],
        on_lost: Callable[[DeviceLost], None],
    ) -> Self | None:
        """One that runs until it is stopped; None without GPUs, and, with a line in the log, where
        NVML cannot be asked. Raises DeviceLost."""
        if not uuids:
            return None
        try:
            nvml = Nvml(uuids)
        except NoNvml as error:
            log.warning("nothing is known of the GPUs' power, use and faults: %s", error)
            return None

        def lost(error: DeviceLost) -> None:
            note(error.uuid)
            on_lost(error)

        made = cls(nvml, share, tokens, lost)
        threading.Thread(
            target=made._run_every, args=(EVERY_S,), daemon=True, name="raylax-gpu-watch"
        ).start()
        return made

    def report(self) -> dict[str, Any]:
        """What a worker reports of its GPUs, as they were seen last. Any thread may ask."""
        return self._report

    def stop(self) -> None:
        """Look no more."""
        self._ending.set()

    def look(self) -> bool:
        """Look once; False when there is nothing left to look at."""
        try:
            samples = self._nvml.sample()
        except DeviceLost as error:
            self._on_lost(error)
            return False
        counters = [one.energy_j for one in samples if one.energy_j is not None]
        if counters:
            self._meter.note(self._clock(), sum(counters), self._tokens())
        self._report = {
            "gpus": [asdict(one) for one in samples],
            "energy_j": self._meter.joules if counters else None,
            "joules_per_token": self._meter.joules_per_token,
        }
        return True

    def _run_every(self, pause_s: float) -> None:
        while self.look() and not self._ending.wait(pause_s):
            pass
