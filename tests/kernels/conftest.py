"""Who runs what was compiled for a CPU: this machine, an emulator, or nobody here."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from raylax.kernels.cpu.target import CPU, missing_here
from tests.support.kernels_emulator import Emulator, missing_tools

# One for each way to take products, and each size of a register file. The first is the least.
TARGETS = (
    *("x86-64-v2", "x86-64-v3", "alderlake", "skylake-avx512", "cascadelake", "cooperlake"),
    *("aarch64", "neoverse-n1", "neoverse-v2"),
)
Load = Callable[[Any], Any]
Runner = Callable[[CPU], Load]


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """CPU -> a function that makes a library of an executable; skips where none can run."""
    emulator = cache(lambda: Emulator(tmp_path_factory.mktemp("aarch64")))

    def choose(target: CPU) -> Load:
        if not (missing := missing_here(target)):
            return lambda executable: executable
        if missing != ["aarch64"]:
            pytest.skip(f"{target.name} needs {', '.join(missing)}, which this machine has not")
        if tools := missing_tools():
            pytest.skip(f"{target.name} needs {' and '.join(tools)} to be emulated here")
        return emulator().load

    return choose
