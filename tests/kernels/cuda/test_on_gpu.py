"""The model on a GPU, where there is one: in a process of its own, for this one shall see none."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cuda_graphs import SHARES
from tests.support.paths import ROOT


def test_a_gpu_computes_the_model(store: Path, compiler: None) -> None:
    """Every family in every format: close to our own kernels, and the same bits in any batch."""
    environment = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-m", "tests.support.cuda_on_gpu", str(store)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if not (found := json.loads(done.stdout)):
        pytest.skip("there is no GPU here")

    far = {name: share for name, (share, _) in found.items() if share > SHARES[name.split()[1]]}
    assert far == {}
    assert [name for name, (_, same) in found.items() if not same] == []
