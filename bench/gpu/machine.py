"""The GPU for one part of the check: arrays there, kernels of the kit, how long launches take."""

import ctypes
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from blocks import Blocks, Kind
from packing.kit import Kit

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.device.code import Kernel, Launch, load_cuda_runtime
from raylax.kernels.cuda.device.cudart import call, made
from raylax.kernels.cuda.device.memory import DeviceMemory, read, write
from raylax.kernels.cuda.device.stream import Stream
from raylax.kernels.cuda.variants.base import Variant

Array = npt.NDArray[Any]
ROUNDS = 9


class Timing(NamedTuple):
    """Of one launch among many, in seconds."""

    median: float
    spread: float
    """Of the slowest round over the fastest, less 1."""


class Mark:
    """An event that knows when the device came there."""

    def __init__(self, stream: Stream) -> None:
        self._event, self._stream = made("cudaEventCreateWithFlags", 0), stream

    def set(self) -> None:
        """After what is on the stream now."""
        call("cudaEventRecord", self._event, ctypes.c_void_p(self._stream.address))

    def seconds_to(self, later: "Mark") -> float:
        """When both have been reached."""
        found = ctypes.c_float()
        call("cudaEventElapsedTime", ctypes.byref(found), self._event, later._event)
        return found.value / 1e3


class Machine:
    """One device, the first that this process sees."""

    def __init__(self, kit: Kit, quick: bool = False) -> None:
        """`quick`: smaller sizes will do. Raises KernelsError for a kit of another source or chip."""
        load_cuda_runtime()
        driver.make_current(0)
        self.kit, self.chip, self.small = kit, kit.chip, kit.small
        self.quick = quick
        self.stream, self.rng = Stream(0), np.random.default_rng(0)
        self.rounds = 1 if kit.small else ROUNDS
        self._blocks = Blocks(kit.small, self.stream.address)
        self._held, self._kernels = list[DeviceMemory](), dict[str, Kernel]()

    # memory

    def room(self, size: int) -> int:
        """The address of so many bytes, whatever is in them."""
        self._held.append(DeviceMemory(max(1, size)))
        return self._held[-1].address

    def put(self, array: Array) -> int:
        """Where a copy of it lies."""
        address = self.room(array.nbytes)
        write(address, array, self.stream.address)
        return address

    def get(self, address: int, shape: tuple[int, ...], dtype: Any) -> Array:
        """A copy of what lies there, when all that was launched is done."""
        return read(address, shape, dtype, self.stream.address)

    def filled(self, size: int, kind: Kind) -> int:
        """The address of so many bytes of random numbers, which the device has copied."""
        address = self.room(size)
        self._blocks.fill(address, size, kind)
        return address

    def forget(self) -> None:
        """All memory that was asked for, when the device is done with it."""
        self.stream.wait()
        self._held.clear()

    # launches

    def kernel(self, variant: Variant) -> Kernel:
        """Its machine code. Raises CompileError where the kit has it not."""
        if variant.name not in self._kernels:
            self._kernels[variant.name] = Kernel(*self.kit.cubin(variant))
        return self._kernels[variant.name]

    def run(self, *launches: Launch) -> None:
        """Put them on the stream."""
        with self.stream.current():
            for launch in launches:
                launch()

    def time(self, launches: Sequence[Launch]) -> Timing:
        """Of one of them, by replays of a graph of them all."""
        self.run(*launches)  # which loads their code
        graph = self.stream.capture(lambda: self.run(*launches))
        took, begin, end = list[float](), Mark(self.stream), Mark(self.stream)
        for _ in range(self.rounds // 4):  # until clocks are up
            graph.replay(self.stream)
        for _ in range(self.rounds):
            begin.set()
            graph.replay(self.stream)
            end.set()
            self.stream.wait()
            took.append(begin.seconds_to(end) / len(launches))
        return Timing(median(took), max(took) / min(took) - 1)
