"""Answers on disk, as far as they have come: whoever finds one whose router has died goes on.

A file for each, in a directory that outlives routers. It begins with what the answer is made of;
then come the deltas, each written before any client can have seen what it comes to. The file is
locked by the router that answers: the kernel lets go of that when it dies.
"""

import fcntl
import hashlib
import json
import logging
import os
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from raylax.proto.errors import WorkerUnavailable
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Finish
from raylax.proto.wire.messages import delta_from_proto, delta_to_proto

log = logging.getLogger(__name__)
SUFFIX = ".answer"
LENGTH = struct.Struct("<I")
TOGETHER = b""
"""The frame after deltas that came together."""
MOST_BYTES = 64 << 20
"""Of one file; an answer that is longer goes on without."""
FORGOTTEN_AFTER_S = 300.0
"""After so long without a word a file without a router is removed, besides its own time."""
SWEEP_EVERY_S = 30.0
BUSY_S = 1.0


@dataclass(frozen=True, slots=True)
class Beginning:
    """What an answer is made of."""

    name: str
    """The name that its client comes back with."""
    tenant: str
    kind: str
    """Which API goes on with it."""
    model_id: str
    ttl_s: float
    ends_at: float
    """When the call's time is over, on this machine's monotonic clock."""
    session: str = ""


class AnswerLog:
    """The file of one answer, which this router holds."""

    def __init__(
        self, file: int, path: Path, beginning: Beginning, content: bytes, lost: str = ""
    ) -> None:
        """`file`: -1 for one that could not be made, because of what `lost` says."""
        self.beginning, self.content = beginning, content
        self.lost = lost
        """Why no other router could go on with the answer; empty: one could."""
        self.said: list[list[Delta]] = []
        """What was in it when it was taken over, in one list what came together: the answer goes on
        after that."""
        self._file, self._path = file, path
        self._written = 0 if file < 0 else os.fstat(file).st_size
        self._unwritten: list[bytes] = []

    def add(self, delta: Delta) -> None:
        """One more; `flush` writes it. An error is not kept: another router may do better."""
        if self._file >= 0 and delta.finish is not Finish.ERROR:
            self._unwritten.append(framed(delta_to_proto(delta).SerializeToString()))

    def flush(self) -> None:
        """Writes what was added, as having come together. What cannot be written is given up."""
        if not self._unwritten or self._file < 0:
            return
        data = b"".join([*self._unwritten, framed(TOGETHER)])
        self._unwritten.clear()
        self._written += len(data)
        try:
            if self._written > MOST_BYTES:
                raise OSError(f"an answer has more than {MOST_BYTES} bytes")
            write_all(self._file, data)
        except OSError as error:
            log.warning("an answer would not survive its router any more: %s", error)
            self.lost = error.strerror or str(error)
            self.remove()

    def remove(self) -> None:
        """Nobody is to come back to it."""
        if self._file >= 0:
            with suppress(OSError):
                self._path.unlink()
            self.leave()

    def leave(self) -> None:
        """Another router may go on with it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class AnswerLogs:
    """Those of a directory, which routers share. Used on one event loop."""

    def __init__(self, directory: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        """None, or one that is not there: answers end with their router."""
        self._directory, self._clock = directory, clock
        self._swept = -SWEEP_EVERY_S
        self._found: dict[Path, tuple[int, float]] = {}
        """When a file was last written, and since when, on our clock, that has been known: the
        time of day may jump."""

    def begin(self, beginning: Beginning, content: bytes) -> AnswerLog | None:
        """A new file; one that is `lost` if it cannot be written; None where none is wanted."""
        if self._directory is None or not self._directory.is_dir():
            return None
        self._sweep()
        path = self._path(beginning.tenant, beginning.name)
        head = json.dumps(asdict(beginning)).encode()
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        except OSError as error:
            return unwritten(path, beginning, content, error)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            write_all(file, framed(head) + framed(content))
        except OSError as error:
            os.close(file)
            path.unlink(missing_ok=True)
            return unwritten(path, beginning, content, error)
        return AnswerLog(file, path, beginning, content)

    def take(self, name: str, tenant: str) -> AnswerLog | None:
        """The answer of this name that nobody goes on with; None if there is none of this tenant's.
        Raises WorkerUnavailable while a router still holds it."""
        if self._directory is None:
            return None
        path = self._path(tenant, name)
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise WorkerUnavailable(
                "the router that has this answer does not answer", retry_after_s=BUSY_S
            ) from None
        found = read_log(file, path)
        if found is None or (found.beginning.name, found.beginning.tenant) != (name, tenant):
            os.close(file)
            return None
        return found

    def _path(self, tenant: str, name: str) -> Path:
        """One that another tenant has not even a locked file at."""
        assert self._directory is not None
        digest = hashlib.sha256(json.dumps([tenant, name]).encode()).hexdigest()
        return self._directory / (digest[:32] + SUFFIX)

    def _sweep(self) -> None:
        """Remove the files that nobody has come back to, now and then."""
        assert self._directory is not None
        if (now := self._clock()) < self._swept + SWEEP_EVERY_S:
            return
        found, self._found, self._swept = self._found, {}, now
        names: list[str] = []
        with suppress(OSError):  # it takes a descriptor, of which there may be none
            names = os.listdir(self._directory)
        for path in (self._directory / name for name in names if name.endswith(SUFFIX)):
            with suppress(OSError):
                written = path.stat().st_mtime_ns
                before, since = found.get(path, (written, now))
                self._found[path] = (written, since if written == before else now)
                if now - self._found[path][1] > FORGOTTEN_AFTER_S:
                    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        path.unlink()
                    finally:
                        os.close(file)


def unwritten(path: Path, beginning: Beginning, content: bytes, error: OSError) -> AnswerLog:
    """The log of an answer that goes on without."""
    log.warning("an answer will not survive its router: %s", error)
    return AnswerLog(-1, path, beginning, content, error.strerror or str(error))


def framed(data: bytes) -> bytes:
    """With its length before it."""
    return LENGTH.pack(len(data)) + data


def write_all(file: int, data: bytes) -> None:
    """Raises OSError, with nothing or a part of it written."""
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]


def frames_of(data: bytes) -> Iterator[bytes]:
    """Those that are whole: the last one may have been cut off."""
    at = 0
    while at + LENGTH.size <= len(data):
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        if at + length > len(data):
            return
        yield data[at : at + length]
        at += length


def read_log(file: int, path: Path) -> AnswerLog | None:
    """What lies in a file; None for one that was never begun. What was cut off is taken away."""
    data = os.pread(file, os.fstat(file).st_size, 0)
    frames = list(frames_of(data))
    if len(frames) < 2:
        return None
    head, content, *deltas = frames
    os.ftruncate(file, sum(LENGTH.size + len(frame) for frame in frames))
    found = AnswerLog(file, path, Beginning(**json.loads(head)), content)
    found.said = list(in_groups(deltas))
    return found


def in_groups(frames: Iterable[bytes]) -> Iterator[list[Delta]]:
    """Deltas, in one list those that came together; nobody has seen what an unfinished one at the
    end comes to."""
    together: list[Delta] = []
    for frame in frames:
        if frame != TOGETHER:
            together.append(delta_from_proto(pb.Delta.FromString(frame)))
        else:
            yield together
            together = []
    if together:
        yield together
