"""A process of its own that answers, so that its memory and processor time are its alone.

It says a line of JSON when it is ready and one to each line on its input, and waits in between. What
went wrong there comes as `{"error": WHY}`.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from engines.base import Load, Measurement, Options, PeerFailed
from engines.processes import end, last_error, start

BENCH = Path(__file__).resolve().parents[1]


class Child:
    """A module of ours in any Python: started by `with`, which also ends it. Raises PeerFailed."""

    facts: dict[str, Any]
    """What it said when it was ready."""

    def __init__(
        self, name: str, python: Path | str, module: str, *arguments: str, ends_within_s: float = 0
    ) -> None:
        """`ends_within_s`: how long it may take to end by itself, once its input has."""
        self.name, self._ends_within_s = name, ends_within_s
        self._command = [str(python), "-m", module, *arguments]

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
        if self._ends_within_s:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self._ends_within_s)
        end(self._process)
        self._errors.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, **order: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its answer says why
            print(json.dumps(order), file=self._process.stdin, flush=True)
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


class EngineChild(Child):
    """An engine behind `engines.inside`."""

    def __init__(self, name: str, python: Path | str, module: str, options: Options) -> None:
        super().__init__(name, python, module, json.dumps(asdict(options)))

    def measure(self, load: Load) -> Measurement:
        return Measurement(**self.ask(**asdict(load)))

    def call(self, method: str) -> dict[str, Any]:
        """What a method of the engine answers."""
        return self.ask(ask=method)
