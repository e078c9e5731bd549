"""Whether what a run has made is for its user alone, as the kernel tells of it after the start.

Each file has a mode; but what counts is who may reach it: the run's directory is closed, and nobody
else can exchange it. Ray opens its own directories below that again, in every process of its own.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from raylax.cluster.environment import ray_directory
from raylax.cluster.startup.sockets import sockets_of
from raylax.kernels.errors import UntrustedPath
from raylax.kernels.ownership import check_ours

FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
SHARED = Path("/dev/shm")
ACCEPTS = 1 << 16
"""A flag of sockets in /proc/net/unix: others may connect."""
LISTENER = re.compile(r"^\S+ \S+ \S+ (?P<flags>\S+) \S+ \S+ +(?P<inode>\d+)(?: (?P<path>.+))?$")


def found_open(directory: Path, pids: Iterable[int]) -> list[str]:
    """What another user could reach or exchange of a run in this directory, with these processes:
    the path of each, and what is wrong with it."""
    pids = list(pids)
    return [
        *(f"{path} ({why})" for path, why in open_below(directory)),
        *(f"{path} ({why})" for path, why in open_shared(pids)),
        *(f"{path} (a socket outside the run's directory)" for path in outside(directory, pids)),
    ]


def close_again(directory: Path, pids: Iterable[int]) -> list[str]:
    """Takes from others what they may do with our files of a run, and with its processes' shared
    memory: the path of each, and what it was."""
    closed, found_so = [], dict([*open_below(directory), *open_shared(pids)])
    for path, why in found_so.items():
        with suppress(OSError):
            found = path.stat()
            if found.st_uid == os.geteuid() and path not in directory.parents:
                path.chmod(stat.S_IMODE(found.st_mode) & ~FOR_OTHERS)
                closed.append(f"{path} ({why})")
    return closed


def outside(directory: Path, pids: Iterable[int]) -> dict[str, int]:
    """Sockets of this machine on which a process listens elsewhere than in the run's directory: the
    name of each, and whose it is."""
    found = listeners(pids)
    return {path: pid for path, pid in found.items() if not path.startswith(f"{directory}/")}


def opened_by_files(keys: Iterable[Path], secrets: Iterable[Path]) -> list[str]:
    """By which files that say who may come in another user could let himself in, and how: those of
    `keys` by changing them, those of `secrets` by reading them, too."""
    found = []
    for file in (*keys, *secrets):
        try:
            check_ours(file)
        except UntrustedPath as error:
            found.append(f"{file} lets another user in: {error.place} {error.why}")
    for file in secrets:
        if file.stat().st_mode & stat.S_IROTH:
            found.append(f"{file} lets another user in: it can be read by all")
    return found


def open_below(directory: Path) -> Iterator[tuple[Path, str]]:
    """What is amiss in a run's directory, itself included."""
    try:
        check_ours(directory)
    except UntrustedPath as error:
        yield error.place, error.why
    rays = ray_directory(directory)
    for path in (directory, *everything_below(directory)):
        try:
            found = path.lstat()
        except FileNotFoundError:  # it is gone again
            continue
        in_rays = path == rays or rays in path.parents
        if stat.S_ISLNK(found.st_mode) or (in_rays and stat.S_ISDIR(found.st_mode)):
            wrong = 0
        else:
            wrong = found.st_mode & FOR_OTHERS
        if wrong or found.st_uid != os.geteuid():
            yield path, described(found)


def everything_below(directory: Path) -> Iterator[Path]:
    """Also while others make and remove what lies there."""
    for parent, directories, files in os.walk(directory):
        yield from (Path(parent, name) for name in (*directories, *files))


def open_shared(pids: Iterable[int]) -> Iterator[tuple[Path, str]]:
    """Shared memory of the processes that others can open by its name."""
    for path in sorted({path for pid in pids for path in shared_by(pid)}):
        try:
            found = path.stat()
        except FileNotFoundError:
            continue
        if found.st_mode & FOR_OTHERS:
            yield path, described(found)


def shared_by(pid: int) -> set[Path]:
    """Files in /dev/shm that a process has mapped, and that still have their names."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
    except OSError:
        return set()
    paths = (line.split(maxsplit=5)[-1] for line in lines if f" {SHARED}/" in line)
    return {Path(path) for path in paths if not path.endswith(" (deleted)")}


def listeners(pids: Iterable[int]) -> dict[str, int]:
    """The names of all Unix sockets on which one of the processes listens, and which does; @ stands
    for those that are in no directory."""
    owners = {inode: pid for pid in pids for inode in sockets_of(pid)}
    found = (LISTENER.match(line) for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return {
        one["path"]: owners[one["inode"]]
        for one in found
        if one and one["path"] and one["inode"] in owners and int(one["flags"], 16) & ACCEPTS
    }


def described(found: os.stat_result) -> str:
    return f"{stat.filemode(found.st_mode)}, of user {found.st_uid}"
