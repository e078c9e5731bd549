"""Device strings. What there is on GPUs is in tests/kernels/cuda/test_driver.py."""

import re
from pathlib import Path

import pytest
import tvm

from raylax.worker.errors import ConfigError
from raylax.worker.hardware.devices import MIB, budget, detect_device, memory_of


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


@pytest.mark.parametrize(
    ("free", "gpus", "asked", "found"),
    [
        (80_000, 1.0, None, 72_000),  # a GPU that nobody uses
        (70_000, 1.0, None, 63_000),  # nine tenths of what others leave
        (80_000, 1.0, 0.5, 40_000),
        (41_000, 1.0, 0.5, 40_000),  # what others use is none of it
        (80_000, 0.5, None, 36_000),  # the first of two that share it, and
        (44_000, 0.5, None, 36_000),  # the second one
        (44_000, 0.5, 0.9, 36_000),
        (80_000, 0.25, 0.5, 10_000),
    ],
)
def test_what_a_rank_may_take_of_a_gpu(
    free: int, gpus: float, asked: float | None, found: int
) -> None:
    """Of one of 80,000 MiB: a share of all its memory, and so the same whoever came first."""
    assert budget("cuda:0", free * MIB, 80_000 * MIB, gpus, asked) // MIB == found


def test_a_share_of_a_gpu_that_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has what there is, what is free and what was asked for."""
    monkeypatch.setattr("raylax.worker.hardware.devices.name_of", lambda device: "H100 GPU-1")
    said = []
    for free, gpus in ((70_000, 1.0), (30_000, 0.5)):
        with pytest.raises(ConfigError) as caught:
            budget("cuda:0", free * MIB, 80_000 * MIB, gpus, 0.9)
        said.append(str(caught.value))

    assert said == [
        "gpu_memory_utilization 0.9 of the 80000 MiB of H100 GPU-1 is 72000 MiB, and 70000 MiB are "
        "free: others use 10000 MiB; ask for less, or free memory",
        "gpu_memory_utilization 0.9 x 0.5 (gpus_per_rank) of the 80000 MiB of H100 GPU-1 is 36000 "
        "MiB, and 30000 MiB are free: others use 50000 MiB; ask for less, or free memory",
    ]
