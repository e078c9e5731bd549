"""Memory, streams, code and graphs, by CUDA's run time and TVM's, on a driver without a GPU."""

import ctypes
import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from raylax.kernels.bf16 import from_bf16, to_bf16
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.cubins.facts import Cubin, load
from raylax.kernels.cuda.device import cudart
from raylax.kernels.cuda.device.code import Kernel, Launch
from raylax.kernels.cuda.device.memory import (
    TO_DEVICE,
    TO_HOST,
    DeviceMemory,
    PinnedMemory,
    copy,
    read,
    write,
)
from raylax.kernels.cuda.device.stream import Event, Stream
from raylax.kernels.errors import DeviceError
from tests.support.cuda_fake.child import on_fake_device
from tests.support.cuda_fake.machine import cubins_here
from tests.support.cuda_scaled import EARLY, SCALED

COUNT = 300
NUMBERS = to_bf16(np.arange(COUNT, dtype=np.float32))
GRID = (2,)


def code() -> Cubin:
    (directory,) = cubins_here()
    return load(directory, [SCALED], CHIPS[90])[SCALED.name]


@cache
def kernel() -> Kernel:
    return Kernel(*code())


class Rig:
    """Something to multiply, on a device."""

    def __init__(self) -> None:
        self.stream = Stream(0)
        self.x, self.y = DeviceMemory(2 * COUNT), DeviceMemory(4 * COUNT)
        write(self.x.address, NUMBERS, self.stream.address)

    def launch(self, factor: float = 3.0) -> Launch:
        return kernel().launch(GRID, self.x.address, self.y.address, factor, COUNT)

    def result(self) -> list[float]:
        found = read(self.y.address, (COUNT,), np.float32, self.stream.address)
        return [float(one) for one in found]


def times(factor: float) -> list[float]:
    return [float(one) * factor for one in from_bf16(NUMBERS)]


@on_fake_device
def test_a_launch_computes_on_the_stream() -> None:
    rig = Rig()

    with rig.stream.current():
        rig.launch()()

    assert rig.result() == times(3)


@on_fake_device
def test_a_graph_is_not_run_until_it_is_replayed_and_reads_what_is_there_then() -> None:
    rig = Rig()
    with rig.stream.current():
        rig.launch(2.0)()  # the code is loaded
    assert rig.result() == times(2)

    graph = rig.stream.capture(rig.launch(5.0))
    assert rig.result() == times(2)

    write(rig.x.address, to_bf16(np.ones(COUNT, np.float32)), rig.stream.address)
    graph.replay(rig.stream)
    assert rig.result() == [5.0] * COUNT


@on_fake_device
def test_what_a_capture_forbids_fails_and_ends_it() -> None:
    rig = Rig()

    with pytest.raises(DeviceError, match="capturing"):
        rig.stream.capture(lambda: write(rig.x.address, NUMBERS, rig.stream.address))

    with rig.stream.current():
        rig.launch()()
    assert rig.result() == times(3)


@on_fake_device
def test_a_kernel_that_waits_itself_need_not_wait_to_be_launched() -> None:
    """The driver is told so, of its launches alone: the fake one looks at both."""
    (directory,) = cubins_here()
    code = load(directory, [EARLY], CHIPS[90])[EARLY.name]
    early, rig = Kernel(*code), Rig()

    with rig.stream.current():
        rig.launch(2.0)()
        early.launch(GRID, rig.x.address, rig.y.address, 7.0, COUNT)()
    assert rig.result() == times(7)

    with rig.stream.current(), pytest.raises(DeviceError, match="could not be launched"):
        lying = Kernel(code.code, replace(code.facts, overlapped=False))
        lying.launch(GRID, rig.x.address, rig.y.address, 7.0, COUNT)()


@on_fake_device
def test_a_copy_is_seen_when_its_event_is_done() -> None:
    rig, pinned = Rig(), PinnedMemory(2 * COUNT)
    array = pinned.array((COUNT,), np.uint16)
    array[:] = 0

    copy(pinned.address, rig.x.address, 2 * COUNT, TO_HOST, rig.stream.address)
    event = Event()
    event.record(rig.stream)
    assert not event.is_done
    event.wait()

    assert event.is_done
    assert array.tolist() == NUMBERS.tolist()


@on_fake_device
def test_pinned_memory_that_is_written_before_its_copy_is_done_is_found_out() -> None:
    """So does a GPU: the driver copies as late as it may."""
    rig, pinned = Rig(), PinnedMemory(2 * COUNT)
    array = pinned.array((COUNT,), np.uint16)
    array[:] = NUMBERS
    copy(rig.x.address, pinned.address, 2 * COUNT, TO_DEVICE, rig.stream.address)
    array[:] = 0

    found = read(rig.x.address, (COUNT,), np.uint16, rig.stream.address)

    assert not found.any()


@on_fake_device
def test_memory_that_is_not_there_is_an_error_with_cudas_words() -> None:
    with pytest.raises(DeviceError, match="out of memory") as found:
        DeviceMemory(1 << 40)

    assert found.value.is_out_of_memory
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    cudart.call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
    before = free.value
    held = DeviceMemory(1 << 20)
    del held
    cudart.call("cudaMemGetInfo", ctypes.byref(free), ctypes.byref(total))
    assert free.value == before, "what nobody has any more is given back"


@on_fake_device
def test_a_launch_that_does_not_fit_its_machine_code_is_refused() -> None:
    rig, (cubin, facts) = Rig(), code()
    wrong = Kernel(cubin, replace(facts, threads=32))

    with rig.stream.current(), pytest.raises(DeviceError, match="raylax_scaled"):
        wrong.launch(GRID, rig.x.address, rig.y.address, 3.0, COUNT)()
    with pytest.raises(TypeError, match="x, y, factor, n"):
        kernel().launch(GRID, rig.x.address)


@on_fake_device
def test_a_device_that_is_lost_says_so_whatever_is_asked_of_it() -> None:
    """A launch, too, whose error TVM tells without its code."""
    rig = Rig()
    launch = rig.launch()
    with TemporaryDirectory() as directory:
        lost = Path(directory, "lost")
        os.environ["RAYLAX_FAKE_LOST"] = str(lost)
        lost.write_text("214")
        asked = (launch, rig.result, rig.stream.wait, lambda: DeviceMemory(64))
        for ask in asked:
            with rig.stream.current(), pytest.raises(DeviceError) as found:
                ask()
            assert found.value.is_lost
        lost.unlink()
        del os.environ["RAYLAX_FAKE_LOST"]

    wrong = Kernel(code()[0], replace(code()[1], threads=32))
    with rig.stream.current(), pytest.raises(DeviceError) as found:
        wrong.launch(GRID, rig.x.address, rig.y.address, 3.0, COUNT)()
    assert not found.value.is_lost
