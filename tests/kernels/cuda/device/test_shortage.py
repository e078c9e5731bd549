"""A GPU whose memory is full says what was wanted of it."""

from collections.abc import Iterator

import pytest

from raylax.kernels.cuda.device.shortage import explained
from raylax.kernels.cuda.driver import memory
from raylax.kernels.errors import DeviceError
from tests.support.cuda_fake.child import FakeMachine, on_fake_device

MIB = 1 << 20


@pytest.fixture(scope="module")
def fake_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeMachine]:
    """One GPU of a GiB."""
    yield from FakeMachine.without_code(tmp_path_factory.mktemp("driver"))


@on_fake_device
def test_the_arithmetic_is_in_the_error() -> None:
    """What was wanted in parts and in all, what there was, and what can be done."""
    from raylax.kernels.cuda.device.memory import DeviceMemory

    weights = DeviceMemory(700 * MIB)
    with (
        pytest.raises(DeviceError) as caught,
        explained("cuda:0", 0, 24 * MIB, 400 * MIB),
    ):
        DeviceMemory(400 * MIB)
    assert caught.value.is_out_of_memory
    said = str(caught.value)
    assert said.startswith(
        "cuda:0: out of memory: weights 0 MiB + workspace 24 MiB + KV pages 400 MiB = 424 MiB, of "
        "324 MiB free when loading began (1024 MiB in all); lower gpu_memory_utilization"
    )
    del weights
    assert memory(0)[0] == 1024 * MIB


@on_fake_device
def test_other_errors_are_left_alone() -> None:
    with (
        pytest.raises(DeviceError, match="^lost$"),
        explained("cuda:0", 1, 1, 1),
    ):
        raise DeviceError("lost", 700)
