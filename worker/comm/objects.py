"""Python objects over a communicator: their lengths first, then their bytes.

For calls that are rare and may be slow, such as debug calls. Pickles run code where they are read:
use this only among the authenticated ranks of one engine.
"""

import pickle
from typing import Any

import numpy as np

from raylax.worker.comm.base import Array, Gatherer
from raylax.worker.comm.errors import CommError


def broadcast_object(comm: Gatherer, value: Any, root: int = 0) -> Any:
    """Root's value on every rank. One that cannot be pickled is a CommError on every rank."""
    ours = pickled(value) if comm.rank == root else b""
    length = np.array([len(ours)])
    comm.broadcast(length, root)
    data = padded(ours, length[0])
    comm.broadcast(data, root)
    return unpickled(data, root)


def allgather_object(comm: Gatherer, value: Any) -> list[Any]:
    """Every rank's value, in their order, on every rank."""
    ours = pickled(value)
    lengths = [np.array([len(ours)]) for _ in range(comm.world)]
    comm.allgather(lengths)
    longest = max(int(length[0]) for length in lengths)
    data = [padded(ours if rank == comm.rank else b"", longest) for rank in range(comm.world)]
    comm.allgather(data)
    return [unpickled(each, rank) for rank, each in enumerate(data)]


class Unpicklable(str):
    """Travels in the place of a value, so that no rank waits for one."""


def pickled(value: Any) -> bytes:
    """The value's pickle, or that of an `Unpicklable` in its place."""
    try:
        return pickle.dumps(value)
    except Exception as error:  # whatever a __reduce__ raises
        return pickle.dumps(Unpicklable(f"{type(error).__name__}: {error}"))


def padded(content: bytes, size: int) -> Array:
    """The bytes as an array of this size, filled up with zeros."""
    data = np.zeros(size, np.uint8)
    data[: len(content)] = np.frombuffer(content, np.uint8)
    return data


def unpickled(data: Array, rank: int) -> Any:
    """The value that a rank has sent. Raises CommError if it could not be pickled there."""
    value = pickle.loads(data.data)  # which ends before the padding
    if isinstance(value, Unpicklable):
        raise CommError(f"the value of rank {rank} cannot be pickled: {value}")
    return value
