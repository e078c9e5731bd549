"""Files by HTTP: resumed where they were cut, also by an earlier process, and checked whole.

huggingface_hub forgets what it has of a file when it is interrupted; this does not.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock

from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.files import Listed

CHUNK = 1 << 20
AT_ONCE = 4
"""Files."""
TRIES = 5
"""Without a byte."""
PAUSE_S = 0.5
"""Before another try, and twice as long after each in vain."""
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
RESUMED = "the next start goes on where this one stopped"
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which a server may well give another one."""
Count = Callable[[int], None]
"""Bytes that came; fewer than none where what had come is begun again."""


class Refused(Exception):
    """A server's answer that is no file."""

    def __init__(self, url: str, status: int, code: str) -> None:
        """`code`: what the hub calls it, as GatedRepo; "" from others."""
        self.url, self.status, self.code = url, status, code
        super().__init__(f"{httpx.URL(url).copy_with(query=None)} answered {status} {code}".strip())


class Unreachable(Exception):
    """Nobody answered, or not as this kind of server does."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file, where it is had from, and where it is put."""

    url: str
    target: Path
    lock: Path
    """Held by who downloads it."""
    file: Listed

    @property
    def part(self) -> Path:
        """What of it has come. Older huggingface_hubs use, and finish, the same."""
        return self.target.with_name(f"{self.target.name}.incomplete")

    @property
    def missing(self) -> int:
        """Bytes that the disk must still take."""
        try:
            return max(0, self.file.size - self.part.stat().st_size)
        except OSError:
            return self.file.size


def client(headers: dict[str, str] | None = None, verify: str | bool = True) -> httpx.Client:
    """One that goes where it is sent. Keys are not shown to another host than the first."""
    plain = {"Accept-Encoding": "identity", **(headers or {})}
    if isinstance(verify, str):
        import ssl

        return httpx.Client(
            headers=plain, follow_redirects=True, timeout=TIMEOUT,
            verify=ssl.create_default_context(cafile=verify),
        )  # fmt: skip
    return httpx.Client(headers=plain, follow_redirects=True, timeout=TIMEOUT, verify=verify)


class Abandoned(Exception):
    """Another file has failed."""


def download_all(http: httpx.Client, jobs: Iterable[Job], count: Count) -> None:
    """Some at once. Raises what the first that fails raises; the others end with their next
    bytes, and before `http` does: a connection that is made later would be closed by nobody."""
    is_over = threading.Event()

    def count_while_wanted(size: int) -> None:
        if is_over.is_set():
            raise Abandoned
        count(size)

    with ThreadPoolExecutor(AT_ONCE, "download") as pool:
        begun = [pool.submit(download, http, job, count_while_wanted) for job in jobs]
        try:
            for done in as_completed(begun):
                done.result()
        finally:
            is_over.set()
            pool.shutdown(wait=False, cancel_futures=True)


def download(http: httpx.Client, job: Job, count: Count) -> None:
    """Put a file in its place, whole. Raises CheckpointError for content that is another one,
    Refused, Unreachable, OSError."""
    job.target.parent.mkdir(parents=True, exist_ok=True)
    job.lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(job.lock):
        there = size_of(job.part)
        count(there)
        receive(http, job, count)
        fault = fault_of(job)
        if there and fault:  # what was there may not have been its beginning
            count(-size_of(job.part))
            job.part.unlink()
            receive(http, job, count)
            fault = fault_of(job)
        if fault:
            job.part.unlink(missing_ok=True)
            raise CheckpointError(f"{fault}; it was removed")
        os.replace(job.part, job.target)


def receive(http: httpx.Client, job: Job, count: Count) -> None:
    """The bytes that are missing, however often the connection breaks."""
    tries = 0
    while True:
        before = size_of(job.part)
        if before >= job.file.size and before:
            return
        try:
            stream(http, job, count, before)
            return
        except (httpx.HTTPError, Refused) as error:
            if isinstance(error, Refused) and error.status not in PASSING:
                raise
            tries = 0 if size_of(job.part) > before else tries + 1
            if tries >= TRIES:
                if isinstance(error, Refused):
                    raise
                raise Unreachable(f"{job.file.path}: {reason_of(error)}") from None
            time.sleep(PAUSE_S * 2**tries)


def stream(http: httpx.Client, job: Job, count: Count, begin: int) -> None:
    """From `begin` to the end, or to where it breaks."""
    headers = {"Range": f"bytes={begin}-"} if begin else {}
    with http.stream("GET", job.url, headers=headers) as answer:
        if answer.status_code not in (200, 206):
            raise Refused(job.url, answer.status_code, answer.headers.get("X-Error-Code", ""))
        whole = answer.status_code == 200
        if whole and begin:
            count(-begin)
        with job.part.open("wb" if whole else "ab") as out:
            for chunk in answer.iter_bytes():  # as they come: what is gathered would be lost
                out.write(chunk)
                count(len(chunk))
                if out.tell() > job.file.size:
                    return  # it is another file, however much of it is to come


def fault_of(job: Job) -> str | None:
    """What is wrong with what came; None if it is what was listed."""
    file = job.file
    if (size := size_of(job.part)) != file.size:
        return f"{file.path}: should have {file.size} bytes, {size} came"
    if (digest := digest_of(job.part, file)) != file.digest.lower():
        return (
            f"{file.path}: what came is another file than what is listed: its checksum is "
            f"{digest}, not {file.digest}"
        )
    return None


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def digest_of(path: Path, file: Listed) -> str:
    """By the digest that is known: of the content alone, or of a git blob. "" where none is."""
    if not file.digest:
        return ""
    if len(file.digest) == 64:
        made = hashlib.sha256()
    else:
        made = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(CHUNK):
            made.update(chunk)
    return made.hexdigest()


def reason_of(error: Exception) -> str:
    """Of what went wrong on the way, in a line."""
    return " ".join(str(error).split()) or type(error).__name__


class Progress:
    """What is told of bytes that come in several threads, a few times a second."""

    EVERY_S = 0.2

    def __init__(
        self, what: str, jobs: Sequence[Job], tell: Callable[[str, int, int], None]
    ) -> None:
        """`tell`: what is downloaded, the bytes of it that are there, and all."""
        self._what, self._tell = what, tell
        self._total = sum(job.file.size for job in jobs)
        self._lock, self._done, self._told = threading.Lock(), 0, 0.0

    def count(self, more: int) -> None:
        with self._lock:
            self._done += more
            now = time.monotonic()
            if now - self._told >= self.EVERY_S or self._done >= self._total:
                self._told = now
                self._tell(self._what, self._done, self._total)
