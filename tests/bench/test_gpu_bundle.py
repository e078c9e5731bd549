"""`bench/gpu/bundle.py`: what it packs is enough for the check, wherever it is unpacked."""

import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.cuda.cubins.toolchain import triton
from raylax.kernels.errors import CompileError
from tests.support.bench_commands import finished

PATIENCE_S = 500
"""Kernels are compiled first, where the store has them not."""
pytestmark = pytest.mark.timeout(2 * PATIENCE_S)
BORROWED = ("numpy", "numpy.libs", "triton")
"""What the check needs beside a bundle: numpy; and Triton, whose interpreter plays the GPU."""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle in a directory where nothing else is."""
    try:
        triton()
    except CompileError as error:
        pytest.skip(str(error))
    place = tmp_path_factory.mktemp("bundle")
    archive = place / "bundle.tar.gz"
    code, out, errors = finished(
        "gpu/bundle.py", "--small", "--python", "--output", archive, patience_s=PATIENCE_S
    )
    assert code == 0, errors
    assert f"{archive.stat().st_size / 1e6:.1f} MB" in out
    with tarfile.open(archive) as files:
        files.extractall(place / "there", filter="data")
    archive.unlink()
    return place / "there" / "gpu-check"


@pytest.fixture(scope="module")
def alone(unpacked: Path) -> Run:
    """A Python that has none of what is installed for us, but what is borrowed."""
    borrowed = unpacked.parent / "borrowed"
    borrowed.mkdir()
    packages = Path(find_spec("numpy").origin).parents[1]  # type: ignore[union-attr,arg-type]
    for name in BORROWED:
        if (packages / name).exists():
            (borrowed / name).symlink_to(packages / name)
    python = Path(sys.executable).resolve()
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(unpacked.parent),
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": str(borrowed),
    }

    def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [python, *map(str, arguments)],
            cwd=unpacked.parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    return run


def test_all_of_the_check_runs_from_it(unpacked: Path, alone: Run) -> None:
    """Every part has said what it has to say, and the exit status is 0: with nothing of ours, nor
    of TVM's, that is not in the bundle."""
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("a fake driver is made by a C compiler")
    if alone("-c", "import tvm_ffi").returncode == 0:
        pytest.skip("this Python has TVM without a virtual environment")
    ended = alone("gpu-check/check.py", "--fake", "--small", "--json", "check.json")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    told: dict[str, Any] = json.loads((unpacked.parent / "check.json").read_text())
    assert told["complete"] and told["ok"]
    assert told["device"]["chip"] == 90
    assert told["source"].keys() == {"commit", "kernels"}
    assert all(one["ok"] is True for one in told["checks"].values())
    kinds = {name.split()[0] for name in told["checks"]}
    assert kinds >= {
        *("matrix", "linear", "gated", "dequantise", "attention", "embed", "add_norm"),
        *("final_norm", "rope_append", "sample", "adjust", "graphs", "demo"),
    }
    measured = {name.split()[0] for name in told["figures"]}
    assert measured == {
        *("linear", "gated", "attention", "sample", "decode", "idle", "prefill", "sweep"),
    }
    assert told["figures"]["decode 1 q0bf16"]["bar"] == "200 tok/s"
    assert told["left_out"] == []
    assert not (unpacked.parent / ".cache").exists(), "a fake GPU's verdict is none"


def test_it_says_what_it_needs(unpacked: Path) -> None:
    """Without numpy: a line."""
    command = [sys.executable, "-S", "-E", str(unpacked / "check.py")]
    ended = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})

    assert ended.returncode == 1
    assert ended.stderr.strip() == "the check needs numpy: pip install numpy"
