"""What the lines of a batch have come to: two files that grow, of answers and of errors.

A result is one line, written at once, which begins with its number: so what is there says what is
done. A line that was cut off when its writer died is taken away, and is computed again.
"""

import json
import os
import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

from raylax.router.files.disk import write_all

HEAD = re.compile(rb'\{"id":"batch_req_[0-9a-f]{32}_([1-9][0-9]{0,9})",.*\}\n', re.DOTALL)
NO_ROOM = "insufficient_storage"


class Result(NamedTuple):
    """One line of a file of results."""

    number: int
    text: bytes
    failed: bool


def answered(
    batch_id: str, number: int, custom_id: str, status: int, request_id: str, body: bytes
) -> Result:
    """What its endpoint has answered, be it an error."""
    head = opening(batch_id, number, custom_id)
    told = json.dumps({"status_code": status, "request_id": request_id})[:-1].encode()
    text = b'%s,"response":%s,"body":%s},"error":null}\n' % (head, told, body)
    return Result(number, text, status >= 400)


def unanswered(batch_id: str, number: int, custom_id: str, code: str, message: str) -> Result:
    """Its endpoint was not asked, or there is no room for the answer."""
    error = json.dumps({"code": code, "message": message}).encode()
    head = opening(batch_id, number, custom_id)
    return Result(number, b'%s,"response":null,"error":%s}\n' % (head, error), True)


def opening(batch_id: str, number: int, custom_id: str) -> bytes:
    id = f"batch_req_{batch_id.removeprefix('batch_')}_{number}"
    return f'{{"id":"{id}","custom_id":{json.dumps(custom_id)}'.encode()


class Results:
    """The two files of one batch, for who holds its lease."""

    def __init__(self, output: Path, errors: Path) -> None:
        """Takes up what is there."""
        self.done: set[int] = set()
        """Numbers of the lines that have their result."""
        self.counts = {False: 0, True: 0}
        """How many have been answered, and how many have failed."""
        self._files = {False: open_growing(output), True: open_growing(errors)}
        self._ends: dict[bool, int] = {}
        try:
            for failed, file in self._files.items():
                self._take_up(failed, file)
        except BaseException:
            self.close()
            raise

    def _take_up(self, failed: bool, file: BinaryIO) -> None:
        end = 0
        for line in file:
            if (found := HEAD.fullmatch(line)) is None:
                break
            self.done.add(int(found[1]))
            self.counts[failed] += 1
            end += len(line)
        os.truncate(file.fileno(), end)
        self._ends[failed] = end

    @property
    def bytes(self) -> int:
        """Of both."""
        return sum(self._ends.values())

    def add(self, result: Result) -> None:
        """Raises OSError, and then has not added it."""
        file, end = self._files[result.failed].fileno(), self._ends[result.failed]
        assert result.number not in self.done, f"line {result.number} has its result"
        try:
            write_all(file, result.text)
        except OSError:
            os.truncate(file, end)
            raise
        self._ends[result.failed] = end + len(result.text)
        self.done.add(result.number)
        self.counts[result.failed] += 1

    def sync(self) -> None:
        """What was added outlives the machine's next failure."""
        for file in self._files.values():
            os.fsync(file.fileno())

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def open_growing(path: Path) -> BinaryIO:
    """Writes go to its end, wherever it is read."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(file, "rb")
