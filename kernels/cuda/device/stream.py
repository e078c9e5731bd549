"""Work in order on a device, and marks in it that the host can wait for."""

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tvm_ffi

from raylax.kernels.cuda.device.cudart import (
    NO_TIMING,
    NON_BLOCKING,
    NOT_READY,
    RELAXED,
    call,
    error,
    library,
    made,
)


class Stream:
    """A queue of a device: what is put there is done in order."""

    def __init__(self, device: int) -> None:
        """Of the device of this index, which the calling thread has made current."""
        self.device = tvm_ffi.device("cuda", device)
        self._handle = made("cudaStreamCreateWithFlags", NON_BLOCKING)
        self.address = self._handle.value or 0
        self.free = weakref.finalize(self, library().cudaStreamDestroy, self._handle)

    def wait(self) -> None:
        """Until everything on it is done. Raises DeviceError for what went wrong there."""
        call("cudaStreamSynchronize", self._handle)

    @contextmanager
    def current(self) -> Iterator[None]:
        """What the calling thread launches by TVM is put here."""
        with tvm_ffi.use_raw_stream(self.device, self.address):
            yield

    def capture(self, launch: Callable[[], None]) -> "Graph":
        """A graph of what a function launches, which is not run. The code of every kernel must have
        been loaded before: CUDA forbids that meanwhile. Raises DeviceError."""
        call("cudaStreamBeginCapture", self._handle, RELAXED)
        try:
            with self.current():
                launch()
        finally:
            graph = made_last("cudaStreamEndCapture", self._handle)
        try:
            return Graph(made("cudaGraphInstantiate", graph, ctypes.c_ulonglong(0)))
        finally:
            library().cudaGraphDestroy(graph)


class Graph:
    """Launches as one, at fixed addresses: what is there is read at every replay."""

    def __init__(self, ready: ctypes.c_void_p) -> None:
        self._ready = ready
        self.free = weakref.finalize(self, library().cudaGraphExecDestroy, ready)

    def replay(self, stream: Stream) -> None:
        """Put it on a stream."""
        call("cudaGraphLaunch", self._ready, ctypes.c_void_p(stream.address))


class Event:
    """A mark on a stream."""

    def __init__(self) -> None:
        self._handle = made("cudaEventCreateWithFlags", NO_TIMING)
        self.free = weakref.finalize(self, library().cudaEventDestroy, self._handle)

    def record(self, stream: Stream) -> None:
        """Put it after everything that is on the stream now."""
        call("cudaEventRecord", self._handle, ctypes.c_void_p(stream.address))

    @property
    def is_done(self) -> bool:
        """Whether the device has come there. Raises DeviceError for what went wrong before."""
        code = library().cudaEventQuery(self._handle)
        if code not in (0, NOT_READY):
            raise error("cudaEventQuery", code)
        return bool(code == 0)

    def wait(self) -> None:
        """Until the device has come there. Raises DeviceError."""
        call("cudaEventSynchronize", self._handle)


def made_last(name: str, given: ctypes.c_void_p) -> ctypes.c_void_p:
    """As `made`, by a function that puts it where its last argument points."""
    handle = ctypes.c_void_p()
    call(name, given, ctypes.byref(handle))
    return handle
