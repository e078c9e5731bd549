"""A part of the check in a process of its own, from outside: what an error has done to a GPU's
context ends with it, and what hangs is ended when its time is over."""

import json
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from part import POISONED

CHECK = Path(__file__).with_name("check.py")
GRACE_S = 5.0
"""Beyond a part's time, for what it began just before."""
Told = dict[str, Any]


def run_part(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    limit_s: float,
    each: Callable[[Told], None],
) -> None:
    """Run a part for at most so long; `each` is given what it tells, line by line. One that dies is
    begun again behind what it died of."""
    deadline, done = time.monotonic() + limit_s, list[str]()
    while True:
        known, left = len(done), max(0.0, deadline - time.monotonic())
        command = [
            sys.executable,
            str(CHECK),
            *arguments,
            "--seconds",
            f"{left:.1f}",
            "--done",
            json.dumps(done),
        ]
        begun, status = one_process(command, environment, deadline + GRACE_S, each, done)
        if begun is not None:
            ended = "its time was over" if status is None else f"its process ended ({status})"
            each({"check": begun, "ok": False, "said": ended})
            done.append(begun)
        if status == 0:
            return
        if status is None or len(done) == known or time.monotonic() > deadline:
            break
    if begun is None and status != POISONED:
        ended = "its time was over" if status is None else f"its process ended ({status})"
        each({"check": arguments[1], "ok": False, "said": ended})


def one_process(
    command: Sequence[str],
    environment: Mapping[str, str],
    deadline: float,
    each: Callable[[Told], None],
    done: list[str],
) -> tuple[str | None, int | None]:
    """(what it was at when it ended, its exit status; None: it had to be killed). What it came to
    the end of is added to `done`."""
    begun = None
    with subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, bufsize=0
    ) as process:
        try:
            assert process.stdout
            for line in lines(process.stdout, deadline):
                told = json.loads(line)
                if "begun" in told:
                    begun = told["begun"]
                    continue
                begun = None
                done += [told[kind] for kind in ("check", "figure", "left_out") if kind in told]
                each(told)
            return begun, process.wait(max(0.1, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            return begun, None
        finally:
            process.kill()


def lines(pipe: IO[bytes], deadline: float) -> Iterator[bytes]:
    """As they come, of a pipe without a buffer. Raises TimeoutError at the deadline."""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            if not (line := pipe.readline()):
                return
            yield line
    raise TimeoutError
