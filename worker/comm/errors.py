"""What keeps ranks from exchanging anything.

* CommError       a group that does not come about, messages that do not fit, a closed communicator
  - Unreachable   nobody is where a rank should be
  - CommTimeout   a rank did not come in time
  - CommAborted   somebody ended the group, or a rank is gone

After the last two, and after messages that did not fit, the group is dead: whatever is asked of it
raises CommAborted with the same reason, on every rank.
"""

from collections.abc import Sequence

CLOSED = "this communicator is closed"


class CommError(Exception):
    """Ranks could not exchange something."""


class Unreachable(CommError):
    """Nobody is where a rank should be: the address is wrong, or old."""


class CommAborted(CommError):
    """The group has ended; `reason` says why, in the words of whoever ended it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CommTimeout(CommError):
    """A rank did not come in time: `missing` are those that were waited for."""

    def __init__(self, missing: Sequence[int], omission: str, timeout_s: float) -> None:
        super().__init__(missing, omission, timeout_s)  # all, so that it can be pickled
        self.missing = tuple(missing)
        self.omission, self.timeout_s = omission, timeout_s

    def __str__(self) -> str:
        return f"{named(self.missing)} {self.omission} within {self.timeout_s:g} s"


def mismatch(rank: int, did: str, found: int, own: int, expected: int) -> CommError:
    """The error of two ranks that disagree on how many bytes a message has."""
    return CommError(f"rank {rank} {did} with {found} bytes, where rank {own} has {expected}")


def named(ranks: Sequence[int]) -> str:
    """`rank 2`, `ranks 1 and 2`, `ranks 1, 2 and 3`."""
    *most, last = (str(rank) for rank in ranks)
    return f"ranks {', '.join(most)} and {last}" if most else f"rank {last}"
