"""NVIDIA's management library on a machine that has no GPU, by a process that sees one of two."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cuda_fake.machine import environment, make_driver
from tests.support.paths import ROOT

SEEN = """
import json, sys
from dataclasses import asdict
from raylax.kernels.cuda import driver
from raylax.worker.errors import DeviceLost
from raylax.worker.hardware.nvml import NoNvml, Nvml

try:
    nvml = Nvml([driver.uuid(0)])
    print(json.dumps([asdict(one) for one in nvml.sample()]), flush=True)
    for line in sys.stdin:
        print(json.dumps([asdict(one) for one in nvml.sample()]), flush=True)
except (DeviceLost, NoNvml) as error:
    print(json.dumps(f"{type(error).__name__}: {error}"))
"""
UUID = "GPU-00000000-0000-0000-0000-000000000001"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("driver")
    try:
        make_driver(directory)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    return directory


class Asked:
    """A process that looks whenever it is asked."""

    def __init__(self, driver: Path, **more: str) -> None:
        given = {"RAYLAX_FAKE_GPUS": "2", "CUDA_VISIBLE_DEVICES": "1", **more}
        self._process = subprocess.Popen(
            [sys.executable, "-c", SEEN],
            cwd=ROOT,
            env=environment(driver, [], **given),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> Any:
        """The next thing; the first one it says unasked."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def ask(self) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self.says()

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def test_the_gpu_that_a_process_sees_is_found_by_uuid(driver: Path, tmp_path: Path) -> None:
    """NVML counts both, and the other way round. A fault of the other is not ours; one of a program
    is told, and one of the hardware is its end."""
    xid = tmp_path / "xid"
    with Asked(driver, RAYLAX_FAKE_WATTS="250", RAYLAX_FAKE_ECC="3", RAYLAX_FAKE_XID=str(xid)) as a:
        (first,) = a.says()
        xid.write_text("0 79")
        (other,) = a.ask()

    energy = first.pop("energy_j")
    assert first == {
        "uuid": UUID,
        "name": "Fake 1",
        "utilization": 0.42,
        "memory_used": (1 << 30) // 4,
        "memory_free": (1 << 30) * 3 // 4,
        "power_w": 250.0,
        "ecc_errors": 3,
        "xid": 0,
    }
    assert other["energy_j"] >= energy > 0
    assert other["xid"] == 0


@pytest.mark.parametrize(("xid", "lost"), [(31, False), (79, True), (95, True)])
def test_an_xid(driver: Path, tmp_path: Path, xid: int, lost: bool) -> None:
    told = tmp_path / "xid"
    with Asked(driver, RAYLAX_FAKE_XID=str(told)) as asked:
        asked.says()
        told.write_text(f"1 {xid}")
        said = asked.ask()

    if lost:
        assert said == f"DeviceLost: Fake 1 {UUID} is lost: the driver says Xid {xid}"
    else:
        assert said[0]["xid"] == xid


def test_one_that_does_not_answer(driver: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with Asked(driver, RAYLAX_FAKE_LOST=str(gone)) as asked:
        asked.says()
        gone.write_text("79")
        assert asked.ask() == f"DeviceLost: Fake 1 {UUID} is lost: NVML says GPU is lost"


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="there is a GPU here")
def test_without_the_library_it_says_so() -> None:
    code = "from raylax.worker.hardware.nvml import Nvml; Nvml([])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert "NoNvml: NVML: NVML Shared Library Not Found" in done.stderr
