"""Machines that have no GPU: a driver that says it has two."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from tests.support.paths import ROOT

HERE = Path(__file__).parent
Ask = Callable[[str], Any]


@pytest.fixture(scope="session")
def on_fake_gpus(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Code -> what it says in JSON, in a process whose driver shows two GPUs."""
    if (cc := which("gcc")) is None:
        pytest.skip("a driver is made by gcc, which is not here")
    directory = tmp_path_factory.mktemp("driver")
    source, library = HERE / "fake_driver.c", directory / "libcuda.so.1"
    soname = "-Wl,-soname,libcuda.so.1"
    subprocess.run([cc, "-shared", "-fPIC", soname, "-o", library, source], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(directory)}

    def ask(code: str) -> Any:
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask
