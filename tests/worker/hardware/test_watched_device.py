"""Which errors of a device are its end, and what becomes of the others."""

import subprocess
import sys
from pathlib import Path

import pytest

from raylax.kernels.errors import LOST, DeviceError
from raylax.worker.errors import DeviceLost, EngineLost
from raylax.worker.hardware.watched_device import WatchedDevice
from tests.support.cuda_fake.machine import environment, make_driver
from tests.support.paths import ROOT

REQUESTS = {
    1: "cudaErrorInvalidValue",
    2: "cudaErrorMemoryAllocation",
    9: "cudaErrorInvalidConfiguration",
    209: "cudaErrorNoKernelImageForDevice",
    600: "cudaErrorNotReady",
    701: "cudaErrorLaunchOutOfResources",
    711: "cudaErrorTooManyPeers",
    720: "cudaErrorCooperativeLaunchTooLarge",
    900: "cudaErrorStreamCaptureUnsupported",
}
"""Others may go on after these."""


def test_one_is_lost_once_and_for_all() -> None:
    """By each code of those, and what is asked of it then says the same."""
    for code in LOST:
        device = WatchedDevice("cpu")
        with pytest.raises(DeviceLost, match=f"cpu is lost: CUDA: x: it is gone {code}"), device:
            raise DeviceError(f"CUDA: x: it is gone {code}", code)
        assert device.fault is not None
        with pytest.raises(EngineLost, match=f"it is gone {code}"), device:
            raise AssertionError("nothing is run there any more")


@pytest.mark.parametrize("code", REQUESTS)
def test_what_one_request_asked_for_is_not_its_end(code: int) -> None:
    device = WatchedDevice("cpu")
    with pytest.raises(DeviceError), device:
        raise DeviceError(REQUESTS[code], code)
    with pytest.raises(ValueError), device:
        raise ValueError

    assert device.fault is None


def test_a_call_that_returns_what_it_raised_is_looked_at() -> None:
    device = WatchedDevice("cpu")
    full = DeviceError("full", 2)

    assert device.check([1, full, KeyError()])[1] is full
    with pytest.raises(DeviceLost, match="gone"):
        device.check([1, DeviceError("gone", 719)])


BY_TVM = """
import os, pathlib
from raylax.kernels.cuda import driver
from raylax.worker.errors import DeviceLost
from raylax.worker.hardware.lost_devices import losses
from raylax.worker.hardware.watched_device import WatchedDevice

def said():
    try:
        with device:
            raise RuntimeError("InternalError: Check failed: e == cudaSuccess")
    except Exception as error:
        return f"{type(error).__name__}: {error}"

driver.make_current(0)
device = WatchedDevice("cuda:0")
print(said())
pathlib.Path(os.environ["RAYLAX_FAKE_LOST"]).write_text("214")
print(said())
print(losses(driver.uuid(0)))
"""


def test_an_error_without_a_code_is_looked_into(tmp_path: Path) -> None:
    """As TVM's are: a bug that raises is no loss, and a loss that it hides is one. It is noted
    on this node."""
    try:
        make_driver(tmp_path)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    store, lost = str(tmp_path / "store"), str(tmp_path / "lost")
    done = subprocess.run(
        [sys.executable, "-c", BY_TVM],
        cwd=ROOT,
        env=environment(tmp_path, [], RAYLAX_STORE=store, RAYLAX_FAKE_LOST=lost),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    sound, gone, losses = done.stdout.splitlines()

    assert sound == "RuntimeError: InternalError: Check failed: e == cudaSuccess"
    assert gone.startswith("DeviceLost: Fake 0 GPU-00000000-0000-0000-0000-000000000000 is lost: ")
    assert losses == "1"
