"""Which errors of a device are its end, and what becomes of the others."""

import pytest

from raylax.kernels.errors import LOST, DeviceError
from raylax.worker.errors import DeviceLost, EngineLost
from raylax.worker.hardware.watched_device import WatchedDevice

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
