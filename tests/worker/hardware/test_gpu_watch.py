"""What is known of a GPU once a second, and what becomes of one that is lost."""

import threading
from collections.abc import Sequence

import pytest

from raylax.kernels.cuda import driver
from raylax.worker.errors import DeviceLost
from raylax.worker.hardware.gpu_watch import NOTHING, GpuWatch
from raylax.worker.hardware.nvml import LOST_XIDS, GpuSample


class Two:
    """NVML of two GPUs."""

    def __init__(self) -> None:
        self._joules = 0.0

    def sample(self) -> Sequence[GpuSample]:
        self._joules += 100.0
        return [seen(self._joules), seen(2 * self._joules)]


class Told:
    """NVML that says what it is told to, sample by sample."""

    def __init__(self, *samples: GpuSample | DeviceLost) -> None:
        self._samples = list(samples)

    def sample(self) -> Sequence[GpuSample]:
        one = self._samples.pop(0)
        if isinstance(one, DeviceLost):
            raise one
        return [one]


def stays(why: DeviceLost) -> None:
    pytest.fail(str(why))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def seen(joules: float | None) -> GpuSample:
    return GpuSample("GPU-1", "H", 0.5, 3 << 30, 1 << 30, 400.0, joules)


def test_joules_per_token_of_an_engine() -> None:
    tokens = iter((0, 100, 200))
    nvml = Told(seen(1000.0), seen(1400.0), seen(1800.0))
    watch = GpuWatch(nvml, 0.5, lambda: next(tokens), stays, Clock())
    assert watch.report() == NOTHING

    assert watch.look() and watch.look() and watch.look()

    report = watch.report()
    assert (report["energy_j"], report["joules_per_token"]) == (400.0, 2.0)
    assert report["gpus"][0]["power_w"] == 400.0
    assert report.keys() == NOTHING.keys()


def test_an_engine_of_several_gpus_is_charged_for_all_of_them() -> None:
    tokens = iter((0, 100))
    watch = GpuWatch(Two(), 1.0, lambda: next(tokens), stays, Clock())
    assert watch.look() and watch.look()

    assert watch.report()["joules_per_token"] == 3.0
    assert len(watch.report()["gpus"]) == 2


def test_one_that_does_not_tell_its_energy_is_shown_without() -> None:
    """As a GeForce of old, or a part of a GPU."""
    watch = GpuWatch(Told(seen(None)), 1.0, lambda: 5, stays, Clock())
    watch.look()

    assert watch.report()["energy_j"] is None
    assert watch.report()["gpus"][0]["utilization"] == 0.5


def test_one_that_is_lost_is_told_once_and_not_looked_at_any_more() -> None:
    lost = list[DeviceLost]()
    why = DeviceLost("GPU-1 is lost")
    watch = GpuWatch(Told(seen(1.0), why), 1.0, lambda: 0, lost.append, Clock())
    watch._run_every(0.0)  # returns: another sample there is none

    assert lost == [why]


def test_xids_that_a_program_brings_about_are_no_loss() -> None:
    """Another process of a shared GPU may have done that."""
    assert not LOST_XIDS & {8, 13, 31, 32, 43, 45, 63, 68, 94}


@pytest.mark.skipif(driver.count() > 0, reason="there is a GPU here")
@pytest.mark.parametrize("gpus", [[], ["GPU-1"]], ids=["cpu", "gpu"])
def test_where_there_is_none_nothing_runs(gpus: list[str]) -> None:
    """A thread least of all."""
    before = set(threading.enumerate())

    assert GpuWatch.of(gpus, 1.0, lambda: 0, stays) is None
    assert set(threading.enumerate()) <= before
