"""Workers share GPUs out by what they ask Ray for: on a real Ray, and a driver without a GPU."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster_on_nodes import results_of
from tests.support.cuda_fake.machine import environment, make_driver

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]  # it imports Ray
GIB = 1 << 30
GPUS = [f"GPU-00000000-0000-0000-0000-{index:012}" for index in range(2)]


@pytest.fixture(scope="module")
def run(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Everything happens once; the tests look at what came of it."""
    directory = tmp_path_factory.mktemp("driver")
    try:
        make_driver(directory)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    told = environment(directory, [], RAYLAX_FAKE_GPUS="2")
    of_the_driver = {name: told[name] for name in told if name.startswith("RAYLAX_FAKE")}
    library = {"LD_LIBRARY_PATH": told["LD_LIBRARY_PATH"], "PYTHONPATH": told["PYTHONPATH"]}
    with results_of(
        "tests.support.cluster_ray_gpus", checkpoint, **of_the_driver, **library
    ) as results:
        yield results


def test_what_ray_was_told_counts(run: Any) -> None:
    """The machine that deploys may have no GPU."""
    assert run["told"] == 2
    assert run["too many"].startswith("3 ranks of workers need 3 GPUs, and 2 can be seen here")


def test_each_worker_sees_one_gpu_and_no_other(run: Any) -> None:
    """By the driver and by NVML, which counts them the other way round."""
    workers = sorted(run["whole"], key=lambda one: str(one["visible"]))

    assert [one["visible"] for one in workers] == ["0", "1"]
    assert [one["gpus"] for one in workers] == [[GPUS[0]], [GPUS[1]]]
    assert [one["watched"] for one in workers] == [[GPUS[0]], [GPUS[1]]]
    assert [one["memory"] for one in workers] == [int(0.9 * GIB)] * 2


def test_workers_with_a_half_share_one(run: Any) -> None:
    """And its memory."""
    seen = [one["gpus"][0] for one in run["halves"]]

    assert all(len(one["gpus"]) == 1 for one in run["halves"])
    assert sorted(seen.count(gpu) for gpu in GPUS) == [1, 2]
    assert [one["memory"] for one in run["halves"]] == [int(0.45 * GIB)] * 3


def test_what_only_the_cpu_has_is_named(run: Any) -> None:
    """It is found on the worker's own device."""
    for one in (*run["whole"], *run["halves"]):
        assert one["said"].startswith("quantization 'w8a8' is not there on CUDA; ")
        assert one["said"].endswith("the CPU has it: --device cpu")


def test_workers_without_room_are_asked_of_rays_cluster_autoscaler(run: Any) -> None:
    """One of three finds none of two GPUs; ranks of one worker are asked for together."""
    gpus = [[one.get("GPU") for one in run[name]] for name in ("alone", "together")]

    assert gpus == [[1], [1, 1, 1]]
