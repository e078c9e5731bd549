"""Which device `auto` is, and why it is no GPU; what keeps one from being taken at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raylax.kernels.cuda import driver
from raylax.kernels.cuda.device.verdict import write
from raylax.worker.errors import ConfigError
from raylax.worker.hardware.devices import INSIST, choose, detect_device
from tests.support.cuda_fake.machine import environment, make_driver
from tests.support.paths import ROOT

HELD = {"products": {"ok": True}}
Seen = list[tuple[int, int]]
"""Compute capabilities."""


class Machine:
    """What the driver says of a machine with some GPUs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpus: Seen = []
        self.cuda = 13000
        monkeypatch.setattr(driver, "count", lambda: len(self.gpus))
        monkeypatch.setattr(driver, "version", lambda: self.cuda)
        monkeypatch.setattr(driver, "release", lambda: "580.65.06")
        monkeypatch.setattr(driver, "properties", self._properties)

    def _properties(self, index: int) -> driver.DeviceProperties:
        return driver.DeviceProperties(index, f"GPU {index}", self.gpus[index])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def checked(store: Path, chip: str, ok: bool = True, release: str = "580.65.06") -> None:
    write(chip, release, {**HELD, "attention": {"ok": ok}}, store)


def test_without_a_gpu_there_is_nothing_to_say(machine: Machine, tmp_path: Path) -> None:
    assert choose(tmp_path) == ("cpu", "")


def test_the_first_one_on_which_everything_held(machine: Machine, tmp_path: Path) -> None:
    machine.gpus = [(8, 0), (9, 0), (9, 0)]
    checked(tmp_path, "sm_80", ok=False)
    checked(tmp_path, "sm_90")

    assert choose(tmp_path) == ("cuda:1", "")


@pytest.mark.parametrize(
    ("gpus", "cuda", "given", "said"),
    [
        ([(9, 0)], 13000, [], "kernels have not been checked on GPU 0 (sm_90, driver 580.65.06); "),
        ([(9, 0)], 13000, [("sm_90", False, "580.65.06")], "its kernels failed on GPU 0 (sm_90, "),
        ([(9, 0)], 13000, [("sm_90", False, "580.65.06")], "driver 580.65.06): attention; --devi"),
        ([(9, 0)], 13000, [("sm_90", True, "575.51.03")], "kernels have not been checked on GPU 0"),
        ([(9, 0)], 13000, [("sm_80", True, "580.65.06")], "kernels have not been checked on GPU 0"),
        ([(7, 5)], 13000, [], "GPU 0 is sm_75, and there are kernels for sm_80 (A100), "),
        (
            [(9, 0)],
            12080,
            [("sm_90", True, "580.65.06")],
            "is for CUDA 12.8, and 13.0 is ",
        ),
        ([(9, 0), (7, 5)], 13000, [], "kernels have not been checked on GPU 0"),
    ],
)
def test_why_it_is_the_cpu(
    machine: Machine,
    tmp_path: Path,
    gpus: Seen,
    cuda: int,
    given: list[tuple[str, bool, str]],
    said: str,
) -> None:
    """In one line, which names the remedy of who insists."""
    machine.gpus, machine.cuda = gpus, cuda
    for chip, ok, release in given:
        checked(tmp_path, chip, ok, release)
    device, why = choose(tmp_path)

    assert device == "cpu"
    assert said in why and why.startswith("device auto is the CPU: ") and "\n" not in why
    assert why.endswith(INSIST) is ("checked" in why or "check of" in why), "where that helps"


@pytest.mark.parametrize(
    ("gpus", "cuda", "device", "said"),
    [
        (
            [(9, 0)],
            12080,
            "cuda",
            "driver here is for CUDA 12.8, and 13.0 is needed: inst",
        ),
        ([(9, 0)], 12080, "cuda", "install driver 580 or a later one, or serve by the CPU: --devi"),
        (
            [(7, 5)],
            13000,
            "cuda",
            "GPU 0 is sm_75, and there are kernels for .* sm_90 .H100",
        ),
        ([(9, 0), (12, 1)], 13000, "cuda:1", "GPU 1 is sm_121, and there are kernels for"),
        ([(9, 0)], 13000, "cuda:1", "device 'cuda:1' is not here: the driver shows 1 GPU"),
    ],
)
def test_one_that_cannot_run_our_kernels_is_refused(
    machine: Machine, gpus: Seen, cuda: int, device: str, said: str
) -> None:
    """Whoever asks for it."""
    machine.gpus, machine.cuda = gpus, cuda
    with pytest.raises(ConfigError, match=said) as found:
        detect_device(device)
    assert "\n" not in str(found.value)


def test_who_insists_has_one_that_was_not_checked(machine: Machine) -> None:
    machine.gpus = [(9, 0), (8, 6)]

    assert [detect_device(one) for one in ("cuda", "cuda:1")] == ["cuda:0", "cuda:1"]


ON_A_DRIVER = """
import json
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.device.verdict import write
from raylax.worker.errors import ConfigError
from raylax.worker.hardware.devices import choose, detect_device

said = [choose().device, choose().why_no_gpu]
try:
    said.append(detect_device("cuda:0"))
except ConfigError as error:
    said.append(str(error))
if driver.count():
    write("sm_90", driver.release(), {"products": {"ok": True}})
said.append(detect_device("auto"))
print(json.dumps(said))
"""


@pytest.mark.parametrize(
    ("told", "why", "insisting", "checked"),
    [
        ({}, "have not been checked on Fake 0 (sm_90, driver cuda-13.0)", "cuda:0", "cuda:0"),
        ({"RAYLAX_FAKE_DRIVER": "12040"}, "CUDA 12.4, and", "CUDA 12.4, and 13.0 is nee", "cpu"),
        ({"RAYLAX_FAKE_CHIP": "75"}, "Fake 0 is sm_75", "Fake 0 is sm_75, and there", "cpu"),
        ({"RAYLAX_FAKE_GPUS": "0"}, "", "libcuda.so.1 shows none here", "cpu"),
    ],
)
def test_by_a_driver(
    tmp_path: Path, told: dict[str, str], why: str, insisting: str, checked: str
) -> None:
    """From what it says itself to the verdict in the store."""
    try:
        make_driver(tmp_path)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    store = tmp_path / "store"
    done = subprocess.run(
        [sys.executable, "-c", ON_A_DRIVER],
        cwd=ROOT,
        env=environment(tmp_path, [], RAYLAX_STORE=str(store), **told),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    device, reason, named, afterwards = json.loads(done.stdout)

    assert device == "cpu" and why in reason and insisting in named
    assert afterwards == checked
