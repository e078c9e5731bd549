"""What compiles and reads machine code, and how it is called: Triton's wheel has all of it.

Nothing of what is set for Triton in this process's environment reaches a compilation, but for
another ptxas (`TRITON_PTXAS_PATH`, and `TRITON_PTXAS_BLACKWELL_PATH` from sm_90 on): a driver may
be older than Triton's.
"""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from raylax.kernels.cuda.cubins.chips import Chip
from raylax.kernels.errors import CompileError

TOOLS = "backends/nvidia/bin"
OTHER_PTXAS = {"ptxas": "TRITON_PTXAS_PATH", "ptxas-blackwell": "TRITON_PTXAS_BLACKWELL_PATH"}
FORGOTTEN = re.compile(r"(TRITON|LLVM|MLIR|NVPTX|PTXAS)_.*|DISABLE_(PTXAS|LLVM)_.*|USE_IR_LOC")
"""Variables that change what Triton makes, or says."""
RELEASE = re.compile(r"\bV(\d+\.\d+\.\d+)")


def triton() -> Path:
    """Where it is installed. Raises CompileError where it is not; does not import it."""
    found = importlib.util.find_spec("triton")
    if found is None or found.origin is None:
        raise CompileError(
            "compiling for GPUs needs Triton: pip install 'raylax[cuda-compile]'; running what was "
            "compiled elsewhere does not"
        )
    return Path(found.origin).parent


def tool(name: str) -> Path:
    """One of NVIDIA's tools, as cuobjdump. Raises CompileError where it is missing."""
    other = os.environ.get(OTHER_PTXAS.get(name, ""))
    path = Path(other) if other else triton() / TOOLS / name
    if not path.exists():
        raise CompileError(f"compiling for GPUs needs {path}, which is not there")
    return path


def ptxas(chip: Chip) -> Path:
    """The assembler that Triton takes for a chip."""
    return tool("ptxas" if chip.number < 90 else "ptxas-blackwell")


def versions(chip: Chip) -> dict[str, str]:
    """Of what makes the machine code."""
    triton()
    return {"triton": version("triton"), "ptxas": release(ptxas(chip))}


@cache
def release(path: Path) -> str:
    """The version that a tool says it has. Raises CompileError where it does not run."""
    said = said_by(path, "--version")
    if not (found := RELEASE.search(said)):
        raise CompileError(f"{path} does not say its version: {said[:200]!r}")
    return found[1]


def said_by(tool: Path, *arguments: str) -> str:
    """What a tool writes. Raises CompileError where it fails, in one line."""
    try:
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(f"{tool}: {error}") from None
    if done.returncode:
        raise CompileError(f"{tool} failed ({done.returncode}): {done.stderr.strip()[:200]}")
    return done.stdout


def environment(cache: Path, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """For a process that compiles: what is ours but for what changes the result. `cache` is where
    Triton leaves what it makes on the way."""
    kept = {
        name: value
        for name, value in ours.items()
        if not FORGOTTEN.fullmatch(name) or name in OTHER_PTXAS.values()
    }
    return kept | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TRITON_DEFAULT_FP_FUSION": "0",
        "TRITON_CACHE_DIR": str(cache),
        "TRITON_HOME": str(cache),
        "TMPDIR": str(cache),
    }
