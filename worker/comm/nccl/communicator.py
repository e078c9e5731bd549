"""Ranks with a GPU each: NCCL puts each collective on a stream, and the GPU does it.

So a collective returns when it has been put there; `synchronize` and `barrier` wait, with a
deadline. NCCL sums in an order of its own, the same on every rank. It tells other ranks nothing:
`abort` ends this rank's part, and whoever calls it does so on every rank.

Tried without a GPU only, up to where NCCL asks for one.
"""

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from raylax.kernels.cuda import driver
from raylax.kernels.errors import CompileError
from raylax.worker.comm.arrays import check_peer
from raylax.worker.comm.errors import CLOSED, CommAborted, CommError, CommTimeout
from raylax.worker.comm.nccl.dlpack import Tensor, TensorMemory, memory_of
from raylax.worker.comm.nccl.library import (
    IN_PROGRESS,
    SUCCESS,
    SUM,
    TYPES,
    UINT8,
    UniqueId,
    call,
    not_blocking,
    words,
)
from raylax.worker.comm.spin_wait import wait_until

CUDA = 2
WATCH_S = 0.1
TOKEN_BYTES = 4
Call = tuple[object, ...]
"""The name of one of NCCL's functions, and its arguments."""


def unique_id() -> bytes:
    """Names a group that is about to be made: one rank asks for it and tells the others."""
    made = UniqueId()
    call("GetUniqueId", ctypes.byref(made))
    return bytes(made)


@contextmanager
def by_the_driver() -> Iterator[None]:
    """What CUDA's driver refuses inside is a CommError, in its words."""
    try:
        yield
    except CompileError as error:
        raise CommError(str(error)) from error


class NcclCommunicator:
    """A `Communicator` of GPUs by NCCL, for tensors of whatever speaks DLPack."""

    def __init__(
        self, unique_id: bytes, rank: int, world: int, device: int, stream: int, timeout_s: float
    ) -> None:
        """Returns when all have come. `device` is made current for the calling thread, which makes
        all other calls, too; `stream` is a handle as of `tvm_ffi.get_raw_stream`.

        Raises CommError, CommTimeout.
        """
        self.rank, self.world = rank, world
        self._device, self._stream, self._timeout_s = device, stream, timeout_s
        self._collective = 0
        self._comm, self._token = ctypes.c_void_p(), ctypes.c_void_p()
        self._reason: str | None = None
        self._ended, self._lock = threading.Event(), threading.Lock()
        if driver.library() is not None:  # else NCCL says itself what it lacks
            with by_the_driver():
                driver.make_current(device)
        name = UniqueId.from_buffer_copy(unique_id)
        comm, config = ctypes.byref(self._comm), ctypes.byref(not_blocking())
        self._do("come to the rendezvous", ("CommInitRankConfig", comm, world, name, rank, config))
        self._do("get memory", ("MemAlloc", ctypes.byref(self._token), TOKEN_BYTES))
        threading.Thread(target=self._watch, name="nccl-watch", daemon=True).start()

    def allreduce(self, array: Tensor) -> None:
        found = self._here(array)
        if found.kind not in TYPES:
            raise ValueError(f"NCCL does not sum the type {found.kind} of DLPack")
        self._collect(self._sum(found.address, found.count, TYPES[found.kind]))

    def allgather(self, parts: Sequence[Tensor]) -> None:
        roots = zip(range(self.world), parts, strict=True)
        everybodys = [self._from(root, self._here(part)) for root, part in roots]
        self._collect(("GroupStart",), *everybodys, ("GroupEnd",))

    def broadcast(self, array: Tensor, root: int = 0) -> None:
        check_peer(root, self.world)
        self._collect(self._from(root, self._here(array)))

    def send(self, array: Tensor, to: int) -> None:
        check_peer(to, self.world, self.rank)
        at = self._here(array)
        what = ("Send", at.address, at.nbytes, UINT8, to, self._comm, self._stream)
        self._do(f"send to rank {to}", what)

    def recv(self, array: Tensor, source: int) -> None:
        check_peer(source, self.world, self.rank)
        at = self._here(array)
        what = ("Recv", at.address, at.nbytes, UINT8, source, self._comm, self._stream)
        self._do(f"receive from rank {source}", what)

    def barrier(self) -> None:
        self._collect(self._sum(self._token, TOKEN_BYTES, UINT8))
        self.synchronize()

    def synchronize(self) -> None:
        """Return when everything so far is done. Raises CommTimeout, CommAborted."""
        self._wait(self._is_idle, f"finish collective {self._collective}")

    def abort(self, reason: str) -> None:
        with self._lock:
            if self._reason is not None:
                return
            self._reason = reason
            self._ended.set()
            with suppress(CommError):
                call("CommAbort", self._comm)
                call("MemFree", self._token)

    def close(self) -> None:
        self.abort(CLOSED)

    def _here(self, tensor: Tensor) -> TensorMemory:
        found = memory_of(tensor)
        if found.device != (CUDA, self._device):
            raise ValueError(f"rank {self.rank} is on GPU {self._device}, found {found.device}")
        return found

    def _sum(self, address: object, count: int, kind: int) -> Call:
        return "AllReduce", address, address, count, kind, SUM, self._comm, self._stream

    def _from(self, root: int, at: TensorMemory) -> Call:
        """Bytes are bytes: what is not added needs no type."""
        address, size = at.address, at.nbytes
        return "Broadcast", address, address, size, UINT8, root, self._comm, self._stream

    def _collect(self, *calls: Call) -> None:
        self._collective += 1
        self._do(f"start collective {self._collective}", *calls)

    def _do(self, action: str, *calls: Call) -> None:
        """NCCL does not block: it says that a call is in progress, and is asked until it is not."""
        with self._lock:
            self._check()
            for name, *arguments in calls:
                code = call(str(name), *arguments)
        if code == IN_PROGRESS:
            self._wait(lambda: self._state() == SUCCESS, action)

    def _wait(self, done: Callable[[], bool], action: str) -> None:
        def over() -> bool:
            self._check()
            return done()

        if not wait_until(over, self._timeout_s):
            late = CommTimeout(range(self.world), f"did not {action}", self._timeout_s)
            self.abort(str(late))  # NCCL does not say who is late
            raise late

    def _is_idle(self) -> bool:
        with by_the_driver():
            return driver.is_idle(self._stream)

    def _state(self) -> int:
        """SUCCESS or IN_PROGRESS. Raises CommError with what went wrong since."""
        state = ctypes.c_int()
        with self._lock:
            self._check()
            call("CommGetAsyncError", self._comm, ctypes.byref(state))
        if state.value not in (SUCCESS, IN_PROGRESS):
            raise CommError(words(state.value))
        return state.value

    def _watch(self) -> None:
        """What goes wrong while the GPU works is told to nobody who waits for the GPU."""
        while not self._ended.wait(WATCH_S):
            try:
                self._state()
            except CommError as error:
                self.abort(str(error))

    def _check(self) -> None:
        if self._reason is not None:
            raise CommAborted(self._reason)
