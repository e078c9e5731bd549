"""A part of the check from inside: what it says of each thing it does, and how long it may go on.

What it says are lines of JSON on the process's standard output (`process.py` reads them there):
`{"begun": NAME}`, `{"check": NAME, "ok": …}`, `{"figure": NAME, …}`.
"""

import json
import sys
import time
import traceback
from collections.abc import Callable, Collection
from typing import IO, Any

from raylax.kernels.cuda.device import cudart

MOST_SAID = 600
"""Characters of what went wrong."""
POISONED = 3
"""A part's exit status after an error that its process cannot go on from."""


class Part:
    """What one process does for the check."""

    def __init__(
        self, until: float, done: Collection[str], so_far: dict[str, Any], out: IO[str]
    ) -> None:
        """`until`: by `time.monotonic`; `done`: checks that an earlier process came to the end of;
        `so_far`: the report, as it was when this process began."""
        self.so_far, self._until, self._done, self._out = so_far, until, done, out

    def check(self, name: str, function: Callable[[], str]) -> None:
        """Something that holds, of which `function` says how, or does not: then it raises."""
        if name in self._done:
            return
        self._say({"begun": name})
        began = time.perf_counter()
        try:
            told: dict[str, Any] = {"ok": True, "said": function()}
        except Exception as error:
            traceback.print_exc()
            told = {"ok": False, "said": words_of(error)}
        self._say({"check": name, **told, "s": round(time.perf_counter() - began, 3)})
        if not told["ok"] and cudart.standing():
            sys.exit(POISONED)

    def figure(
        self, name: str, function: Callable[[], dict[str, Any]], needs_s: float = 0.0
    ) -> None:
        """Something that is measured. Left out if there is not so much time; a failure is noted as
        a check that did not hold."""
        if name in self._done:
            return
        if not self.has(needs_s):
            self._say({"left_out": name})
            return
        self._say({"begun": name})
        try:
            told: dict[str, Any] = {"figure": name, **function()}
        except Exception as error:
            traceback.print_exc()
            told = {
                "check": name,
                "ok": False,
                "said": words_of(error),
            }
        self._say(told)
        if "check" in told and cudart.standing():
            sys.exit(POISONED)

    def fail(self, name: str, error: Exception) -> None:
        """What kept it from beginning."""
        self._say({"check": name, "ok": False, "said": str(error)[:MOST_SAID]})

    def tell(self, name: str, facts: dict[str, Any]) -> None:
        """What is neither: the device's properties, say."""
        self._say({"facts": name, **facts})

    def has(self, seconds: float) -> bool:
        """Whether so much of its time is left."""
        return time.monotonic() + seconds < self._until

    def _say(self, told: dict[str, Any]) -> None:
        print(json.dumps(told), file=self._out, flush=True)


def hold(condition: object, otherwise: str) -> None:
    """A check's assertion. Raises AssertionError."""
    if not condition:
        raise AssertionError(otherwise)


def words_of(error: Exception) -> str:
    """What went wrong, in a line."""
    return f"{type(error).__name__}: {error}"[:MOST_SAID]
