"""Device strings. What there is on GPUs is in tests/kernels/cuda/test_driver.py."""

import re
from pathlib import Path

import pytest
import tvm

from raylax.worker.errors import ConfigError
from raylax.worker.hardware.devices import detect_device, memory_of


@pytest.mark.parametrize("device", ["auto", "cpu", "cpu:0", None, tvm.cpu(), tvm.cpu(0)])
def test_the_cpu(device: object) -> None:
    assert detect_device(device) == "cpu"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_here_is_refused(device: str) -> None:
    """With what it takes."""
    said = f"device '{device}' is not here: it needs a GPU and NVIDIA's driver, and libcuda.so.1 sh"
    with pytest.raises(ConfigError, match=said):
        detect_device(device)


@pytest.mark.parametrize(
    "device", ["metal", "cpu:1", "cpu:x", "", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:²"]
)
def test_what_is_not_known_is_refused(device: str) -> None:
    """With what is."""
    said = f"device must be auto, cpu, cuda, and cuda:0, cuda:1 and so on; found '{device}'"
    with pytest.raises(ConfigError, match=said):
        detect_device(device)


@pytest.mark.parametrize("device", [tvm.cpu(1), tvm.vulkan(0), 3, ["cpu"], Path("gpu")])
def test_what_is_no_text_is_named_by_its_text(device: object) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"so on; found {str(device)!r}")):
        detect_device(device)


def test_the_memory_of_a_cpu_is_the_machines() -> None:
    """And of a GPU that is not here there is none to be told."""
    assert memory_of("cpu", 1.0) > 0
    with pytest.raises(ConfigError, match="it needs a GPU and NVIDIA's driver"):
        memory_of("cuda:0", 1.0)
