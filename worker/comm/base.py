"""What a rank may ask of a communicator.

All ranks call the same collectives in the same order, each from one thread of its own. Collectives
are numbered from 1. Every wait has a deadline. A group that a rank has left, by death or by
`abort`, stays dead: a new one is made.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy.typing as npt

Array = npt.NDArray[Any]
"""Contiguous, of plain numbers. Where a method says so, it is written to."""


class Gatherer(Protocol):
    """The part of a communicator that suffices to carry Python objects: see `objects.py`."""

    @property
    def rank(self) -> int:
        """This rank's number, from 0."""
        ...

    @property
    def world(self) -> int:
        """How many ranks the group has."""
        ...

    def allgather(self, parts: Sequence[Array]) -> None:
        """Give `parts[rank]` to all ranks; the other parts, of the same shape, are written to."""
        ...

    def broadcast(self, array: Array, root: int = 0) -> None:
        """Write the array of rank `root` into that of every rank."""
        ...

    def abort(self, reason: str) -> None:
        """End the group: whoever waits, or comes later, on any rank, raises CommAborted(reason).

        From any thread, at any time; the first reason stays.
        """
        ...


class Communicator(Gatherer, Protocol):
    """One rank's end of a group that exchanges arrays.

    Every method raises CommTimeout when a rank does not come, CommAborted when the group has ended.
    Arrays that do not fit those of the other ranks end the group, too, with a CommError.
    """

    def allreduce(self, array: Array) -> None:
        """Write the sum of all ranks' arrays into each, in the array's own type.

        Ranks are added in the order 0, 1, …, so that every rank has the same bits, in every run.
        """
        ...

    def send(self, array: Array, to: int) -> None:
        """Send to one rank, in order for each pair of ranks.

        Returns when `array` may be written to again. That may be before the other rank has come
        for it, or not before: two ranks that send to each other must not both send first.
        """
        ...

    def recv(self, array: Array, source: int) -> None:
        """Write what rank `source` has sent to this one into `array`."""
        ...

    def barrier(self) -> None:
        """Return when every rank has come."""
        ...

    def close(self) -> None:
        """Give back what this rank holds. The others notice only if they still need it."""
        ...
