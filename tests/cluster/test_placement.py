"""Where Ray puts workers and their ranks: on a real one of several nodes, all of them at loopback
addresses, with GPUs that a driver shows and nobody has."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster_on_nodes import PATIENCE_S, results_of
from tests.support.cuda_fake.machine import environment, make_driver
from tests.support.engines import running_engine

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore"),  # ray_nodes imports Ray
    pytest.mark.timeout(PATIENCE_S + 60),
]
GIB = 1 << 30
GPUS = [f"GPU-00000000-0000-0000-0000-{index:012}" for index in range(2)]


@pytest.fixture(scope="module")
def run(uneven: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Everything happens once; the tests look at what came of it."""
    driver, told = tmp_path_factory.mktemp("driver"), dict[str, str]()
    with suppress(FileNotFoundError):  # there is no C compiler
        make_driver(driver)
        there = environment(driver, [], RAYLAX_FAKE_GPUS="2")
        ours = ("RAYLAX_FAKE", "LD_LIBRARY_PATH", "PYTHONPATH")
        told = {name: value for name, value in there.items() if name.startswith(ours)}
        told["RAYLAX_TEST_GPU_MODEL"] = str(checkpoint)
    with results_of("tests.support.cluster_ray_nodes", uneven, **told) as results:
        yield results


@pytest.fixture
def gpus(run: Any) -> Any:
    """What came of workers on the node with two GPUs."""
    if "gpus" not in run:
        pytest.skip("a driver is made by a C compiler, and none is on the PATH")
    return run["gpus"]


def test_the_ranks_of_a_worker_lie_on_two_nodes(run: Any) -> None:
    """Neither has room for both; a debug call reaches the two of them."""
    ranks = run["ranks"]

    assert sorted(run["hosts"]) == ["127.0.0.2", "127.0.0.3"]
    assert [(one["rank"], one["world_size"]) for one in ranks] == [(0, 2), (1, 2)]
    assert len({one["pid"] for one in ranks}) == 2


def test_they_answer_as_one_rank_does(run: Any, uneven: Path) -> None:
    """Token for token, though all that they exchange goes over TCP."""
    from tests.support.cluster_ray_nodes import ONE, tokens_of

    with running_engine(uneven, ONE) as (engine, answers):
        assert run["tokens"] == tokens_of(engine, answers)


def test_each_rank_sees_a_gpu_of_its_own(run: Any) -> None:
    """The first one, which is the replica, too."""
    assert sorted(run["devices"]) == ["0", "1"]


def test_what_ray_was_told_counts(gpus: Any) -> None:
    """The machine that deploys may have no GPU."""
    assert gpus["told"] == 2
    assert gpus["too many"].startswith("3 ranks of workers need 3 GPUs, and 2 can be seen here")


def test_each_worker_sees_one_gpu_and_no_other(gpus: Any) -> None:
    """By the driver and by NVML, which counts them the other way round."""
    workers = sorted(gpus["whole"], key=lambda one: str(one["visible"]))

    assert [one["visible"] for one in workers] == ["0", "1"]
    assert [one["gpus"] for one in workers] == [[GPUS[0]], [GPUS[1]]]
    assert [one["watched"] for one in workers] == [[GPUS[0]], [GPUS[1]]]
    assert [one["memory"] for one in workers] == [int(0.9 * GIB)] * 2


def test_workers_with_a_half_share_one(gpus: Any) -> None:
    """And its memory."""
    seen = [one["gpus"][0] for one in gpus["halves"]]

    assert all(len(one["gpus"]) == 1 for one in gpus["halves"])
    assert sorted(seen.count(gpu) for gpu in GPUS) == [1, 2]
    assert [one["memory"] for one in gpus["halves"]] == [int(0.45 * GIB)] * 3


def test_what_only_the_cpu_has_is_named(gpus: Any) -> None:
    """It is found on the worker's own device."""
    for one in (*gpus["whole"], *gpus["halves"]):
        assert one["said"].startswith("quantization 'w8a8' is not there on CUDA; ")
        assert one["said"].endswith("the CPU has it: --device cpu")


def test_workers_without_room_are_asked_of_rays_cluster_autoscaler(gpus: Any) -> None:
    """One of three finds none of two GPUs; ranks of one worker are asked for together."""
    wanted = [[one.get("GPU") for one in gpus[name]] for name in ("alone", "together")]

    assert wanted == [[1], [1, 1, 1]]
