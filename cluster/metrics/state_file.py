"""What outlives Metrics: records in a file, each with its length and its checksum.

Records are added at the end. When the file has half of the bytes that it may have, it becomes the
previous one, in the place of that one, and a new one begins. A record that was only begun when the
process died, and whatever is damaged, ends what is read of a file; writing goes on before it.
"""

import fcntl
import json
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
HEADER = struct.Struct("<II")
"""The length of a record's content, and its checksum."""
MOST_CONTENT = 16 << 20
"""Of a record, unpacked: a length that was damaged does not fill the memory."""
Record = dict[str, Any]


class StateFile:
    """The file, and the one before it. Of several processes one writes."""

    def __init__(self, path: Path | None, most_bytes: int) -> None:
        """None: nothing is kept."""
        self._path, self._most = path, most_bytes
        self._file = -1

    @property
    def previous(self) -> Path:
        """Where the file lies that was full."""
        assert self._path is not None
        return self._path.with_suffix(".previous")

    def read(self) -> Iterator[Record]:
        """Every record, oldest first."""
        if self._path is not None:
            for path in (self.previous, self._path):
                yield from (record for record, _ in records_in(path))

    def append(self, record: Record) -> bool:
        """Keep a record. Whether it is the first one of a new file: what is to be known besides
        must be said again. What cannot be written is given up."""
        if self._path is None or not (self._file >= 0 or self._open()):
            return False
        content = zlib.compress(json.dumps(record, separators=(",", ":")).encode(), 1)
        data = HEADER.pack(len(content), zlib.crc32(content)) + content
        try:
            begun = os.fstat(self._file).st_size == 0
            if not begun and os.fstat(self._file).st_size + len(data) > self._most // 2:
                self._path.rename(self.previous)
                self.close()
                begun = self._open()
            if self._file < 0:
                return False
            os.write(self._file, data)
        except OSError as error:
            log.warning("Metrics cannot keep what it knows: %s: %s", self._path, error.strerror)
            self.close()
            self._path = None
            return False
        return begun

    def close(self) -> None:
        """Another process may write."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> bool:
        """Whether this process may write: behind the last record that is whole."""
        assert self._path is not None
        try:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            log.warning("Metrics cannot keep what it knows: %s: %s", self._path, error.strerror)
            self._path = None
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False  # the one before this one has not ended yet
        whole = max((end for _, end in records_in(self._path)), default=0)
        os.ftruncate(file, whole)
        self._file = file
        return True


def records_in(path: Path) -> Iterator[tuple[Record, int]]:
    """The records of a file as far as they are whole, and where each ends."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("what Metrics knew cannot be read: %s: %s", path, error.strerror)
        return
    at = 0
    while len(data) - at >= HEADER.size:
        length, checksum = HEADER.unpack_from(data, at)
        content = data[at + HEADER.size : at + HEADER.size + length]
        if len(content) < length or zlib.crc32(content) != checksum:
            break
        at += HEADER.size + length
        unpacked = zlib.decompressobj().decompress(content, MOST_CONTENT)
        yield json.loads(unpacked), at
