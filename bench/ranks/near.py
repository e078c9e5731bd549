"""The near end of `ranks.inside`: a pair of ranks in a process of its own."""

import contextlib
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Self

from engines.base import PeerFailed
from engines.processes import end, last_error, start

from ranks.base import Seconds

BENCH = Path(__file__).resolve().parents[1]
LAST_S = 20.0
"""Ray takes its time to end."""


class Near:
    """Started by `with`, which also ends it. Raises PeerFailed."""

    def __init__(self, name: str, python: Path | str) -> None:
        self.name, self._python = name, python

    def __enter__(self) -> Self:
        self._directory = tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True)
        self._errors = tempfile.TemporaryFile("w+")
        path = os.pathsep.join(filter(None, (str(BENCH), os.environ.get("PYTHONPATH"))))
        try:
            self._process = start(
                [str(self._python), "-m", "ranks.inside", self.name, self._directory.name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                env=os.environ | {"PYTHONPATH": path},
            )  # fmt: skip
        except OSError as error:
            raise PeerFailed(self.name, str(error)) from error
        try:
            self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(LAST_S)
        end(self._process)
        self._errors.close()
        self._directory.cleanup()

    def measure(self, size: int, count: int) -> Seconds:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its answer says why
            print(json.dumps({"size": size, "count": count}), file=self._process.stdin, flush=True)
        seconds: Seconds = self._answer()["seconds"]
        return seconds

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerFailed(self.name, f"{last_error(self._errors)} ({self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(self.name, answer["error"])
        return answer
