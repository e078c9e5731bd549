"""Tests that run on the fake driver, in a process of their own: a driver is there from the first
moment of a process, or not at all."""

import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from raylax.kernels.errors import CompileError
from tests.support.cuda_fake.machine import environment, make_driver
from tests.support.paths import ROOT

Body = Callable[..., None]


class FakeMachine:
    """A process with GPUs, which runs one test after another."""

    def __init__(self, directory: Path, cubins: list[Path], **more: str) -> None:
        """`directory`: of the driver; `more`: what it is told, as driver.c says."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=ROOT,
            env=environment(directory, cubins, **more),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @classmethod
    def with_code(
        cls, directory: Path, make: Callable[[], Path | list[Path]], **more: str
    ) -> Iterator[Self]:
        """One for a fixture, with the machine code that `make` compiles. Skips where there is
        nothing to compile with."""
        try:
            make_driver(directory)
            cubins = make()
        except (CompileError, FileNotFoundError) as error:
            pytest.skip(str(error))
        machine = cls(directory, [cubins] if isinstance(cubins, Path) else cubins, **more)
        yield machine
        machine.close()

    @classmethod
    def without_code(cls, directory: Path) -> Iterator[Self]:
        """One for a fixture, for what launches nothing. Skips without a C compiler."""
        return cls.with_code(directory, list)

    def run(self, module: str, test: str, *given: str) -> None:
        """Fails as the test has failed there."""
        self.begin(module, test, *given)
        self.end()

    def begin(self, module: str, test: str, *given: str) -> None:
        """Run a test there; `end` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([module, test, *given]) + "\n")
        self._process.stdin.flush()

    def end(self) -> Any:
        """What the test returned that was begun; fails as it has failed there."""
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        if not said:
            pytest.fail("the process with GPUs has died")
        failure, result = json.loads(said)
        if failure is not None:
            pytest.fail(failure, pytrace=False)
        return result

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def on_fake_device(test: Body) -> Callable[[FakeMachine], None]:
    """The test runs where GPUs are: in the process of the fixture `fake_machine`."""

    def run(fake_machine: FakeMachine) -> None:
        fake_machine.run(test.__module__, test.__name__)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.body = test  # type: ignore[attr-defined]
    return run


def main() -> None:
    """Run what is asked for, line by line; what tests print goes to stderr."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        module, name, *given = json.loads(line)
        failure, result = None, None
        try:
            result = getattr(importlib.import_module(module), name).body(*given)
        except BaseException:
            failure = traceback.format_exc()
        answers.write(json.dumps([failure, result]) + "\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
