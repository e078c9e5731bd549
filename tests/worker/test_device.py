"""Device strings."""

import pytest

from raylax.worker.device import detect_device
from raylax.worker.errors import ConfigError


@pytest.mark.parametrize("device", ["auto", "cpu", "cpu:0"])
def test_the_cpu(device: str) -> None:
    assert detect_device(device) == "cpu"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "metal", "cpu:1", "cpu:x", "", "CPU"])
def test_others_are_refused_by_name(device: str) -> None:
    with pytest.raises(ConfigError, match=f"device '{device}' is not available"):
        detect_device(device)
