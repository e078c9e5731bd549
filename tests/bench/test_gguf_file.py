"""`bench/checkpoint.py` and `bench/gguf_file.py` write one model twice."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.families import tensors_of
from tests.support.family_checkpoints import write_family

BENCH = Path(__file__).parents[2] / "bench"


def run(script: str, *arguments: Path | str) -> None:
    subprocess.run([sys.executable, BENCH / script, *arguments], check=True)


def check_same(checkpoint: Path, file: Path) -> None:
    """Every tensor; norms may lie in the file with what is added to them."""
    here, there = open_checkpoint(checkpoint), open_checkpoint(file)
    for name, _ in tensors_of(here.spec):
        added: Any = here.spec.norm_offset - there.spec.norm_offset if "norm" in name else 0
        assert np.array_equal(here.tensor(name) + added, there.tensor(name)), name


def test_a_checkpoint_of_random_weights(tmp_path: Path) -> None:
    run("checkpoint.py", tmp_path / "made", "--shape", "tiny", "--vocab", "512")
    run("gguf_file.py", tmp_path / "made", tmp_path / "made.gguf")

    check_same(tmp_path / "made", tmp_path / "made.gguf")


@pytest.mark.parametrize("name", ["qwen3", "gemma3", "qwen3-moe"])
def test_families_whose_weights_lie_elsewhere(name: str, tmp_path: Path) -> None:
    """Norms to which one is added, and experts in one tensor."""
    run("gguf_file.py", write_family(tmp_path / name, name), file := tmp_path / "made.gguf")

    check_same(tmp_path / name, file)
