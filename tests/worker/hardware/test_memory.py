"""The memory of the machine that the tests run on."""

from raylax.worker.hardware.memory import available_memory


def test_this_machine_has_memory() -> None:
    assert 64 << 20 < available_memory() < 1 << 50
