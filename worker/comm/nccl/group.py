"""The GPUs of ranks that share a model's layers: NCCL gathers what they came to, on a stream.

Nothing is summed by NCCL, whose order depends on sizes and versions. It tells other ranks nothing:
`abort` ends this rank's part, and whoever calls it does so on every rank.

It has run on no GPU so far.
"""

import ctypes
import threading
from contextlib import suppress

from raylax.kernels.cuda import driver
from raylax.kernels.errors import CompileError
from raylax.worker.comm.errors import CLOSED, CommAborted, CommError, CommTimeout
from raylax.worker.comm.nccl.library import (
    IN_PROGRESS,
    SUCCESS,
    UINT8,
    UniqueId,
    call,
    not_blocking,
    words,
)
from raylax.worker.comm.spin_wait import wait_until

WATCH_S = 0.1


def unique_id() -> bytes:
    """Names a group that is about to be made: one rank asks for it and tells the others. Raises
    CommError where NCCL is not installed."""
    made = UniqueId()
    call("GetUniqueId", ctypes.byref(made))
    return bytes(made)


class NcclGroup:
    """One rank's end of such a group, a `DeviceGroup`. It serves once all have met."""

    def __init__(self, rank: int, world: int, device: int, timeout_s: float) -> None:
        """`device`: the index of the rank's GPU; `timeout_s`: for the others to come."""
        self.rank, self.world = rank, world
        self._device, self._timeout_s = device, timeout_s
        self._comm = ctypes.c_void_p()
        self._reason: str | None = None
        self._ended, self._lock = threading.Event(), threading.Lock()

    def meet(self, name: bytes) -> None:
        """Return when all have come to the group of this name. The calling thread makes all other
        calls, too; the device becomes its own. Raises CommError, CommTimeout."""
        if driver.library() is not None:  # else NCCL says itself what it lacks
            try:
                driver.make_current(self._device)
            except CompileError as error:
                raise CommError(str(error)) from error
        known, config = UniqueId.from_buffer_copy(name), ctypes.byref(not_blocking())
        arguments = ctypes.byref(self._comm), self.world, known, self.rank, config
        self._do("come to the meeting of GPUs", "CommInitRankConfig", *arguments)
        threading.Thread(target=self._watch, name="raylax-nccl-watch", daemon=True).start()

    def allgather(self, address: int, size: int, stream: int) -> None:
        """As `DeviceGroup.allgather`; it does not wait for the device. Raises CommError."""
        own = ctypes.c_void_p(address + self.rank * size)
        arguments = own, ctypes.c_void_p(address), size, UINT8, self._comm, ctypes.c_void_p(stream)
        self._do("begun to gather", "AllGather", *arguments)

    def check(self) -> None:
        """Raises CommAborted where the group has ended: what was gathered must not be used, nor a
        graph with NCCL's launches be replayed."""
        if self._reason is not None:
            raise CommAborted(self._reason)

    @property
    def error(self) -> CommAborted | None:
        """Why the group has ended; None while it has not."""
        return None if self._reason is None else CommAborted(self._reason)

    def abort(self, reason: str) -> None:
        """The group has ended: what waits on the device for other ranks is let go. From any thread,
        at any time; the first reason stays."""
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            self._ended.set()
        if self._comm:  # it returns when the last graph is gone that has launches of the group
            threading.Thread(target=self._abort, name="raylax-nccl-end", daemon=True).start()

    def close(self) -> None:
        """This rank needs it no more."""
        self.abort(CLOSED)

    def _abort(self) -> None:
        with suppress(CommError):
            call("CommAbort", self._comm)

    def _do(self, action: str, name: str, *arguments: object) -> None:
        """NCCL does not block: it says that a call is in progress, and is asked until it is not."""
        with self._lock:
            self.check()
            code = call(name, *arguments)
        if code == IN_PROGRESS and not wait_until(self._is_done, self._timeout_s):
            late = CommTimeout(range(self.world), f"have not {action}", self._timeout_s)
            self.abort(str(late))  # NCCL does not say who is late
            raise late

    def _is_done(self) -> bool:
        """Whether no call is in progress. Raises CommError with what went wrong since."""
        state = ctypes.c_int()
        with self._lock:
            self.check()
            call("CommGetAsyncError", self._comm, ctypes.byref(state))
        if state.value not in (SUCCESS, IN_PROGRESS):
            raise CommError(words(state.value))
        return state.value == SUCCESS

    def _watch(self) -> None:
        """What goes wrong while the GPU works is told to nobody who waits for the GPU."""
        while not self._ended.wait(WATCH_S):
            try:
                self._is_done()
            except CommError as error:
                self.abort(str(error))
