"""Who may put something at a path: what is loaded as code must lie where only we and root can.

A component of the path that somebody else owns he may exchange for another one, as he may what lies
in a directory that is open to him. In one as /tmp is (sticky) he may not touch what is ours.
"""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from raylax.kernels.errors import UntrustedPath

MOST_LINKS = 40
OPEN_TO_ALL = stat.S_IWOTH
OPEN_TO_GROUP = stat.S_IWGRP
ACCESS_LIST = "system.posix_acl_access"
ROOT = 0


def check_ours(path: Path) -> None:
    """Raises UntrustedPath if a part of the path, or of where its links lead, is another user's or
    open to one, as far as it exists; OSError where one cannot look."""
    for place, found in components(path):
        check(place, found)


def is_ours(path: Path) -> bool:
    """Whether nobody else could put something there."""
    try:
        check_ours(path)
    except (UntrustedPath, OSError):
        return False
    return True


def check_all_ours(directory: Path) -> None:
    """The same for the path of a directory and for all that lies in it."""
    check_ours(directory)
    for path in directory.rglob("*"):
        check(path, path.lstat())


def check(place: Path, found: os.stat_result) -> None:
    """Raises UntrustedPath for one component."""
    us, mode = os.geteuid(), found.st_mode
    if found.st_uid not in (ROOT, us):
        raise UntrustedPath(place, f"belongs to {name_of(found.st_uid)}", f"chown {name_of(us)}")
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return
    if mode & OPEN_TO_ALL or (mode & OPEN_TO_GROUP and not is_private(place, found.st_gid)):
        why = f"can be written by other users ({stat.filemode(mode)})"
        raise UntrustedPath(place, why, "chmod go-w")


def components(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each component of a path that exists, from the root on, and of the targets of its links."""
    at, links = Path("/"), 0
    left = [*reversed(path.absolute().parts[1:])]
    yield at, at.lstat()
    while left:
        if (name := left.pop()) == "..":
            at = at.parent  # which is the real one: links have been followed
            continue
        here = at / name
        try:
            found = here.lstat()
        except FileNotFoundError:
            return
        yield here, found
        if not stat.S_ISLNK(found.st_mode):
            at = here
            continue
        if (links := links + 1) > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = Path(os.readlink(here))
        at = Path("/") if target.is_absolute() else at
        left += [part for part in reversed(target.parts) if part != "/"]


def is_private(place: Path, gid: int) -> bool:
    """Whether the group's right to write is nobody's but ours: many systems give each user a group,
    and leave what he makes open to that. A list of further rights counts as others."""
    try:
        listed = ACCESS_LIST in os.listxattr(place, follow_symlinks=False)
    except OSError:
        listed = False
    return not listed and members(gid) <= {name_of(ROOT), name_of(os.geteuid())}


@cache
def members(gid: int) -> frozenset[str]:
    """Names of all users in a group, as far as the system tells."""
    try:
        also = grp.getgrgid(gid).gr_mem
    except KeyError:
        also = [f"somebody in group {gid}"]
    return frozenset(also) | {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
