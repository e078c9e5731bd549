"""Arrays as communicators see them: flat, as bytes, summed in one order; and which are refused."""

from collections.abc import Sequence

import numpy as np

from raylax.worker.comm.base import Array


def flat(array: Array) -> Array:
    """All elements in one dimension, without a copy. Raises ValueError for what ranks cannot
    exchange."""
    if not array.flags.c_contiguous:
        raise ValueError(f"ranks exchange contiguous arrays, found strides {array.strides}")
    if array.dtype.hasobject:
        raise ValueError(f"ranks exchange arrays of numbers, found {array.dtype}")
    return array.reshape(-1)


def raw(array: Array) -> Array:
    """All bytes in one dimension, without a copy. Raises ValueError as `flat`."""
    return flat(array).view(np.uint8)


def add_in_order(parts: Sequence[Array], out: Array) -> None:
    """The sum of one part or more, from first to last; `out` may be the first two of them."""
    if len(parts) == 1:
        np.copyto(out, parts[0])
        return
    np.add(parts[0], parts[1], out=out)
    for part in parts[2:]:
        np.add(out, part, out=out)


def check_parts(parts: Sequence[Array], rank: int, world: int) -> None:
    """Raises ValueError if these are no parts of an allgather: as many as ranks, and all alike."""
    if len(parts) != world:
        raise ValueError(f"an allgather of {world} ranks needs {world} parts, found {len(parts)}")
    ours = parts[rank]
    for each in parts:
        if (each.shape, each.dtype) != (ours.shape, ours.dtype):
            raise ValueError(
                f"the parts of an allgather are alike, found {each.shape} {each.dtype} "
                f"beside {ours.shape} {ours.dtype}"
            )


def check_peer(other: int, world: int, rank: int | None = None) -> None:
    """Raises ValueError if `other` is no rank of the group, or is `rank` itself."""
    if not 0 <= other < world:
        raise ValueError(f"ranks of a world of {world} are 0 to {world - 1}, found {other}")
    if other == rank:
        raise ValueError(f"rank {rank} cannot send to itself or receive from itself")
