"""A process that loads a model when it is told to, and says how long it took in how much memory."""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.errors import KernelsError
from raylax.kernels.model import StepBatch
from raylax.kernels.options import ModelOptions, silent

EVERY_S = 0.01
PAGES = 16


def own_memory() -> float:
    """MiB that are this process's alone: neither a file's nor mapped from one."""
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


class Peak:
    """The most memory of its own that the process had, while it is open, beyond what it began
    with."""

    def __enter__(self) -> "Peak":
        self.mib, self._begun, self._over = 0.0, own_memory(), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self.mib = max(self.mib, own_memory() - self._begun)


def timed(what: Callable[[], object]) -> dict[str, float]:
    spent, begun = time.process_time(), time.perf_counter()
    with Peak() as peak:
        what()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - spent
    return {"seconds": seconds, "cpu_s": cpu, "peak_mib": peak.mib}


def loaded(checkpoint: Path, options: ModelOptions, store: Path) -> None:
    """Until it has computed a token, so that each weight was read."""
    model = load_model(checkpoint, options, PAGES, store)
    assert isinstance(model, CpuModel)
    one = np.zeros(1, np.int32)
    model.step(StepBatch(one + 5, one, one, np.array([0, 1], np.int32), one + 1,
                         np.zeros((1, 1), np.int32), one))  # fmt: skip


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    checkpoint, store, name, threads = sys.argv[1:]
    options = ModelOptions(
        name, threads=int(threads), max_step_tokens=8, max_step_rows=4, max_sequence_length=256
    )
    artefacts = Artefacts(Path(checkpoint), options, Path(store), silent)
    orders: dict[str, Callable[[], object]] = {
        "pack": artefacts.weights,
        "load": lambda: loaded(Path(checkpoint), options, Path(store)),
    }
    try:
        artefacts.functions()
        program = artefacts.program
        size = program.bytes_of("weight", "layer")
        facts = {"quantization": program.quantization, "bytes": size}
        print(json.dumps(facts), file=answers)
        for line in sys.stdin:
            print(json.dumps(timed(orders[json.loads(line)["what"]])), file=answers)
    except (KernelsError, OSError) as error:
        print(json.dumps({"error": str(error)}), file=answers)


if __name__ == "__main__":
    main()
