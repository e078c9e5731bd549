"""An engine in a process of its own, so that its memory and processor time are its alone.

It answers a line of JSON on its output to each line on its input, and waits in between.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from engines.base import (
    Load,
    Measurement,
    Options,
    PeerFailed,
)
from engines.processes import end, last_error, start

BENCH = Path(__file__).resolve().parents[1]


class Child:
    """The near end of `peers.inside`."""

    facts: dict[str, Any]
    """What the engine says of itself when it is loaded."""

    def __init__(self, name: str, python: Path | str, module: str, options: Options) -> None:
        self.name = name
        self._command = [str(python), "-m", module, json.dumps(asdict(options))]

    def __enter__(self) -> Self:
        path = os.pathsep.join(filter(None, (str(BENCH), os.environ.get("PYTHONPATH"))))
        self._errors = tempfile.TemporaryFile("w+")
        try:
            self._process = start(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
                env=os.environ | {"PYTHONPATH": path},
            )  # fmt: skip
        except OSError as error:
            raise PeerFailed(self.name, str(error)) from error
        try:
            self.facts = self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        end(self._process)
        self._errors.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def measure(self, load: Load) -> Measurement:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its answer says why
            print(json.dumps(asdict(load)), file=self._process.stdin, flush=True)
        return Measurement(**self._answer())

    def ask(self, what: str) -> dict[str, Any]:
        """What a method of the engine answers."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps({"ask": what}), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerFailed(self.name, f"{last_error(self._errors)} ({self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(self.name, answer["error"])
        return answer
