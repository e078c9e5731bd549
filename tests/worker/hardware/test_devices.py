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
    """With what it takes, and what can be done without one."""
    said = f"device '{device}' is not here: it needs a GPU and NVIDIA's driver, and libcuda.so.1 sh"
    with pytest.raises(ConfigError, match=f"{said}.*; device cpu, or auto, runs on the CPU$") as by:
        detect_device(device)

    assert "\n" not in str(by.value)


@pytest.mark.parametrize("kind", ["vulkan", "metal", "rocm", "opencl"])
@pytest.mark.parametrize("index", ["", ":0", ":3"])
def test_what_other_devices_lack(kind: str, index: str) -> None:
    """TVM knows their names, and in this build it has no library for them."""
    with pytest.raises(ConfigError) as found:
        detect_device(kind + index)

    assert str(found.value) == (
        f"device '{kind}{index}' cannot be used: raylax has no kernels for {kind}, and TVM does "
        f"not speak to it here (libtvm_runtime_{kind}.so is missing); say auto, cpu, cuda, and "
        "cuda:0, cuda:1 and so on"
    )


def test_a_device_of_tvms_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the kernels alone are missing."""
    monkeypatch.setattr("raylax.worker.hardware.devices.has_device", "vulkan".__eq__)
    with pytest.raises(ConfigError, match="be used: raylax has no kernels for vulkan; say auto"):
        detect_device(tvm.vulkan(0))


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ([], "; TVM speaks to no other device here (rocm, vulkan, metal, opencl)"),
        (["opencl"], "; TVM speaks to opencl here, for which raylax has no kernels"),
    ],
)
def test_the_log_says_what_auto_is_and_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, there: list[str], said: str
) -> None:
    """In the order in which devices are looked for."""
    monkeypatch.setattr("raylax.worker.hardware.devices.has_device", there.__contains__)
    with caplog.at_level("INFO"):
        detect_device("auto")

    (line,) = caplog.messages
    assert line.startswith("device auto is the CPU: cuda is not here (it needs a GPU and")
    assert line.endswith(said)


@pytest.mark.parametrize(
    "device",
    [
        "gpu",
        "cpu:1",
        "vulkan:x",
        "metal:",
        "cpu:x",
        "",
        "CPU",
        "cuda:",
        "cuda:x",
        "cuda:-1",
        "cuda:²",
    ],
)
def test_what_is_not_known_is_refused(device: str) -> None:
    """With what is."""
    said = f"device must be auto, cpu, cuda, and cuda:0, cuda:1 and so on; found '{device}'"
    with pytest.raises(ConfigError, match=said):
        detect_device(device)


@pytest.mark.parametrize("device", [tvm.cpu(1), tvm.device("webgpu", 0), 3, ["cpu"], Path("gpu")])
def test_what_is_no_text_is_named_by_its_text(device: object) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"so on; found {str(device)!r}")):
        detect_device(device)


def test_the_memory_of_a_cpu_is_the_machines() -> None:
    """And of a GPU that is not here there is none to be told."""
    assert memory_of("cpu", 1.0) > 0
    with pytest.raises(ConfigError, match="it needs a GPU and NVIDIA's driver"):
        memory_of("cuda:0", 1.0)
