"""Compiling in processes beside this one, as many as there are cores; nothing of Triton's is here.

They end when the work does, however that ends: none is left after an interrupt.
"""

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.cuda.cubins.facts import Facts
from raylax.kernels.cuda.cubins.toolchain import environment, triton
from raylax.kernels.cuda.variants.base import Variant
from raylax.kernels.errors import CompileError

MODULE = "raylax.kernels.cuda.cubins.worker"
LIMIT_S = 600.0
"""No kernel takes a tenth of it."""


@dataclass(slots=True)
class Worker:
    """One process, and what it is at."""

    process: subprocess.Popen[str]
    variant: Variant | None = None

    @classmethod
    def started(cls, cache: Path) -> Self:
        """Not yet at anything; in a group of its own, which an interrupt does not reach."""
        command = [sys.executable, "-P", "-m", MODULE]
        pipe = subprocess.PIPE
        return cls(
            subprocess.Popen(
                command,
                stdin=pipe,
                stdout=pipe,
                stderr=subprocess.DEVNULL,
                env=environment(cache),
                text=True,
                process_group=0,
            )
        )

    @property
    def output(self) -> IO[str]:
        """Where its answers come from."""
        assert self.process.stdout
        return self.process.stdout

    def begin(self, variant: Variant, chip: Chip, directory: Path) -> None:
        """Give it something to do."""
        job = {"variant": asdict(variant), "chip": chip.number, "directory": str(directory)}
        self.variant = variant
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it has ended, which its output says
            self.process.stdin.write(json.dumps(job) + "\n")
            self.process.stdin.flush()

    def answer(self, chip: Chip) -> dict[str, Any]:
        """What it came to: `facts`, or what is wrong as `refused`."""
        assert self.variant
        if line := self.output.readline():
            return dict(json.loads(line))
        said = f"the compiler ended ({self.process.wait()})"
        return {"refused": [f"{self.variant.name} for {chip.name}: {said}"]}

    def end(self) -> None:
        """At once, and with what it has started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.output.close()
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()


def compile_all(
    variants: Sequence[Variant],
    chip: Chip,
    directory: Path,
    each: Callable[[Variant, Facts], None],
    processes: int | None = None,
) -> list[str]:
    """Writes a cubin for each variant; `each` is called with those that may be used, as they come.

    Returns what is wrong with the others, a line each. Raises CompileError where Triton is not
    there, or does not come to an end.
    """
    triton()
    count = min(processes or len(os.sched_getaffinity(0)), len(variants))
    left, wrong = deque(variants), list[str]()
    with ExitStack() as stack:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=directory)))
        selector = stack.enter_context(selectors.DefaultSelector())

        def start() -> None:
            worker = Worker.started(cache)
            stack.callback(worker.end)
            selector.register(worker.output, selectors.EVENT_READ, worker)
            worker.begin(left.popleft(), chip, directory)

        for _ in range(count):
            start()
        while selector.get_map():
            if not (ready := selector.select(LIMIT_S)):
                raise CompileError(f"compiling for {chip.name}: nothing came in {LIMIT_S:.0f} s")
            for worker in (key.data for key, _ in ready):
                variant, answer = worker.variant, worker.answer(chip)
                if "facts" in answer:
                    each(variant, Facts.of(answer["facts"]))
                wrong += answer.get("refused", [])
                if left and worker.process.poll() is None:
                    worker.begin(left.popleft(), chip, directory)
                    continue
                selector.unregister(worker.output)
                worker.end()
                if left:
                    start()
    return wrong
