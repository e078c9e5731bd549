"""What the driver says of GPUs, and what becomes of it."""

from pathlib import Path

import pytest

from raylax.kernels.cuda import driver
from raylax.kernels.errors import CompileError
from tests.kernels.cuda.conftest import Ask

SEEN = """
import json
from dataclasses import astuple
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.cubins.chips import chip_of

devices = [driver.properties(i) for i in range(driver.count())]
print(json.dumps({
    "devices": [astuple(one) for one in devices],
    "targets": [chip_of(one.capability, one.name).name for one in devices],
    "memory": driver.memory(0),
}))
"""
FAILING = """
import json
from raylax.kernels.cuda import driver
from raylax.kernels.errors import CompileError

said = []
for ask in (lambda: driver.memory(1), lambda: driver.properties(2)):
    try:
        ask()
    except CompileError as error:
        said.append(str(error))
print(json.dumps(said))
"""
WAITING = """
import json
from raylax.kernels.cuda import driver
from raylax.kernels.errors import CompileError

driver.make_current(1)
said = [driver.is_idle(stream) for stream in (0, 600)]
for ask in (lambda: driver.make_current(0), lambda: driver.is_idle(700)):
    try:
        ask()
    except CompileError as error:
        said.append(str(error))
print(json.dumps(said))
"""
CHOSEN = """
import json
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.placement import placement
from raylax.worker.hardware.devices import detect_device, memory_of
from raylax.worker.errors import ConfigError

found = [detect_device(one) for one in ("auto", "cpu", "cuda", "cuda:1")]
try:
    detect_device("cuda:2")
except ConfigError as error:
    found.append(str(error))
gpus = [placement(ClusterConfig(device=one))["ray_actor_options"]["num_gpus"]
        for one in ("auto", "cpu", "cuda")]
print(json.dumps([found, [memory_of("cuda:0", share) for share in (1.0, 0.5)], gpus]))
"""


def test_gpus_are_told_by_the_driver(on_fake_gpus: Ask) -> None:
    """Name, compute capability, free memory; each generation has its target."""
    seen = on_fake_gpus(SEEN)

    assert seen == {
        "devices": [[0, "First", [9, 0]], [1, "Second", [8, 6]]],
        "targets": ["sm_90", "sm_86"],
        "memory": [70 << 30, 80 << 30],
    }


def test_the_release_is_the_kernel_modules_or_else_cudas(on_fake_gpus: Ask, tmp_path: Path) -> None:
    """By it a verdict is found again: two releases may be for one version of CUDA."""
    (tmp_path / "version").write_text("580.65.06\n")
    code = (
        "import json, pathlib; from raylax.kernels.cuda import driver; "
        f"places = [pathlib.Path({str(tmp_path)!r}, name) for name in ('version', 'none')]; "
        "print(json.dumps([driver.release(place) for place in places]))"
    )

    assert on_fake_gpus(code) == ["580.65.06", "cuda-13.0"]


def test_what_the_driver_refuses_is_told_in_its_words(on_fake_gpus: Ask) -> None:
    """And an index beyond the last one by how many there are."""
    assert on_fake_gpus(FAILING) == [
        "CUDA: cuDevicePrimaryCtxRelease_v2: it went wrong",
        "the driver shows 2 GPUs, counted from 0",
    ]


def test_a_stream_is_idle_or_busy_or_has_failed(on_fake_gpus: Ask) -> None:
    """Of the GPU that is the thread's own; an error is told in the driver's words."""
    assert on_fake_gpus(WAITING) == [
        True,
        False,
        "CUDA: cuCtxSetCurrent: it went wrong",
        "CUDA: cuStreamQuery: it went wrong",
    ]


def test_auto_is_the_cpu_and_gpus_are_chosen_by_name(on_fake_gpus: Ask) -> None:
    """Workers then take one each from Ray; who says cpu has none."""
    found, memory, gpus = on_fake_gpus(CHOSEN)

    assert found[:4] == ["cpu", "cpu", "cuda:0", "cuda:1"]
    assert found[4] == "device 'cuda:2' is not here: the driver shows 2 GPUs, counted from 0"
    assert memory == [int(0.9 * (70 << 30)), 36 << 30]  # of what is free, of a half of all
    assert gpus == [0, 0, 1]


@pytest.mark.skipif(driver.count() > 0, reason="there is a GPU here")
def test_without_a_driver_there_is_no_gpu() -> None:
    """Nothing is loaded, nothing fails until somebody asks for one."""
    with pytest.raises(CompileError, match="needs a GPU and NVIDIA's driver, and libcuda.so.1 sho"):
        driver.properties(0)
