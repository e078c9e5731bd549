"""Cores that an engine has to itself.

Ray says how many cores a worker gets, not which; so each worker claims its own. A core is claimed
by who binds a socket of its name: the kernel knows such names for the whole host, keeps no file of
them, and forgets them when the process is gone, however it ends.
"""

import logging
import os
import re
import socket
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)
NAMES = "raylax/core/"
SYSTEM = Path("/sys/devices/system/cpu")
QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores(quota: Path = QUOTA) -> int:
    """How many cores' time this process may use: by its affinity, or its control group's quota."""
    cores = len(os.sched_getaffinity(0))
    with suppress(OSError):
        most, period = quota.read_text().split()
        if most != "max":
            return min(cores, max(1, int(most) // int(period)))
    return cores


def physical_cores(mine: Collection[int], system: Path = SYSTEM) -> list[frozenset[int]]:
    """These cores in groups: hardware threads of one physical core together."""
    return sorted({siblings(core, system) & frozenset(mine) for core in mine}, key=min)


def siblings(core: int, system: Path) -> frozenset[int]:
    """The hardware threads of this one's physical core; itself alone where the system does not
    tell."""
    try:
        text = (system / f"cpu{core}" / "topology" / "thread_siblings_list").read_text()
    except OSError:
        return frozenset({core})
    ranges = [[int(end) for end in part.split("-")] for part in text.split(",")]
    return frozenset(core for ends in ranges for core in range(ends[0], ends[-1] + 1))


def choose(free: Iterable[Collection[int]], count: int) -> list[int]:
    """Which of the free cores, given by physical core; none of them when they are too few.

    The largest piece that is not too large, else the smallest: whole physical cores as long as
    they fit, then the rest of one that somebody has begun.
    """
    pieces = [sorted(piece) for piece in free if piece]
    chosen: list[int] = []
    if sum(map(len, pieces)) < count:
        return chosen
    while (need := count - len(chosen)) > 0:
        fitting = [piece for piece in pieces if len(piece) <= need]
        piece = max(fitting, key=len) if fitting else min(pieces, key=len)
        pieces.remove(piece)
        chosen += piece[:need]
    return chosen


class Cores:
    """Claimed cores, until they are released or the process ends."""

    def __init__(self) -> None:
        self._claims: dict[int, socket.socket] = {}

    @property
    def ids(self) -> tuple[int, ...]:
        """Numbers of the claimed cores, in order; empty when there are none."""
        return tuple(sorted(self._claims))

    def claim(self, count: int, physical: Collection[frozenset[int]], names: str) -> None:
        """Claim so many cores that nobody has claimed by these names; none when they are too
        few."""
        taken = claimed(names)
        while need := count - len(self._claims):
            chosen = choose([group - taken for group in physical], need)
            if not chosen:
                self.release()
                return
            for core in chosen:
                taken.add(core)
                try:
                    self._claims[core] = bind(f"{names}{core}")
                except OSError:
                    break  # somebody was faster: choose again

    def release(self) -> None:
        """Let others claim them."""
        for claim in self._claims.values():
            claim.close()
        self._claims.clear()


def bind(name: str) -> socket.socket:
    """A socket that holds a name until it is closed. Raises OSError when somebody has the name."""
    made = socket.socket(socket.AF_UNIX)
    try:
        made.bind(f"\0{name}")
    except OSError:
        made.close()
        raise
    return made


def claimed(names: str) -> set[int]:
    """Cores that anybody has claimed by these names, this process included, as far as the system
    tells."""
    with suppress(OSError):
        text = Path("/proc/net/unix").read_text()
        return {int(core) for core in re.findall(rf"@{re.escape(names)}(\d+)$", text, re.M)}
    return set()


def keep_to_own_cores(count: int) -> Cores:
    """Keep the calling thread, and those that it makes from now on, to so many cores of their own.

    To none when they are too few, nor under a quota, which shares out time and not cores: then the
    system places the threads, which is better than two of them on one core.
    """
    mine, cores = os.sched_getaffinity(0), Cores()
    if usable_cores() == len(mine):
        cores.claim(count, physical_cores(mine), NAMES)
    if cores.ids:
        os.sched_setaffinity(0, cores.ids)
        log.info("the engine's threads keep to cores %s", cores.ids)
    else:
        free = len(mine - claimed(NAMES))
        log.warning("the engine's threads keep to no cores: it wants %d, %d are free", count, free)
    return cores
