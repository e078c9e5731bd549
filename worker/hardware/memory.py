"""How much memory the machine can still give: to all, or to our control group if that is less."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


class Group(NamedTuple):
    """The names of a control group's files, in one of the two versions."""

    roots: tuple[str, ...]
    """Where its tree is mounted, below `GROUPS`."""
    limits: tuple[str, ...]
    used: str
    file_pages: tuple[str, ...]
    """Lines of memory.stat: pages of files, which are counted as used and given back on demand."""


VERSION_1 = Group(
    ("memory",),
    ("memory.limit_in_bytes",),
    "memory.usage_in_bytes",
    ("total_active_file", "total_inactive_file"),
)
VERSION_2 = Group(
    (".", "unified"),
    ("memory.max", "memory.high"),
    "memory.current",
    ("active_file", "inactive_file"),
)


def available_memory(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """Bytes of RAM that can be had now: of the machine, or of our control group and those that it
    lies in if one of them has less."""
    left = [limit - used for limit, used in limits_and_use(proc, groups)]
    return max(0, min([machine(proc)["MemAvailable"], *left]))


def total_memory(proc: Path = PROC, groups: Path = GROUPS) -> int:
    """Bytes of RAM that could be had if nobody else used any."""
    return min([machine(proc)["MemTotal"], *(limit for limit, _ in limits_and_use(proc, groups))])


def machine(proc: Path) -> dict[str, int]:
    """What /proc/meminfo says, in bytes."""
    lines = (proc / "meminfo").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def limits_and_use(proc: Path, groups: Path) -> Iterator[tuple[int, int]]:
    """Each limit that holds for this process, and what is used of it and cannot be given back."""
    for group, directory in groups_of_this_process(proc, groups):
        for name in group.limits:
            with suppress(OSError, ValueError):  # not here, or "max": no limit
                limit = int((directory / name).read_text())
                yield limit, used_of(group, directory)


def used_of(group: Group, directory: Path) -> int:
    """Bytes of a control group that are used, without pages of files. Raises OSError."""
    stat = dict(line.split() for line in (directory / "memory.stat").read_text().splitlines())
    file_pages = sum(int(stat.get(name, 0)) for name in group.file_pages)
    return max(0, int((directory / group.used).read_text()) - file_pages)


def groups_of_this_process(proc: Path, groups: Path) -> Iterator[tuple[Group, Path]]:
    """Our control group's directory, and those above it. In a container the mounted tree may begin
    below what the system calls its root: then only what is there is read."""
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            group = VERSION_1 if controllers else VERSION_2
            parts = [part for part in path.split("/") if part not in ("", "..")]
            for root in group.roots:
                for depth in range(len(parts) + 1):
                    yield group, groups.joinpath(root, *parts[:depth])
