"""Ray's collectives over our communicators, among actors of a real Ray."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from raylax.cluster.environment import for_ray, make_run_directory, remove
from raylax.worker.comm.base import Array
from tests.support.comm_work import brought
from tests.support.paths import ROOT

SIZE = 1000
PATIENCE_S = 120
DRIVER = "from tests.support.worker_ray_ranks import main; main()"
MODULES = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
"""None is looked for where a cluster is started."""
GROUPS = [(backend, world) for backend in ("RAYLAX_SHM", "RAYLAX_TCP") for world in (2, 3)]

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def run() -> Iterator[Any]:
    """All groups live once, in one Ray; the tests look at what came of it."""
    directory = make_run_directory()
    written = directory / "results"
    command = [sys.executable, "-W", "ignore", "-c", DRIVER, str(written)]
    try:
        done = subprocess.run(
            command,
            env={**for_ray(directory), **MODULES},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr
        yield pickle.loads(written.read_bytes())
    finally:
        remove(directory)


@pytest.fixture(params=GROUPS, ids=lambda group: f"{group[0]}-{group[1]}")
def group(request: pytest.FixtureRequest, run: Any) -> tuple[int, dict[str, Any]]:
    """The world's size, and each method's results by rank."""
    results, _, _ = run
    return request.param[1], results[request.param]


def ours(rank: int) -> Array:
    return brought(rank, SIZE, "float32")


def in_order(ufunc: np.ufunc, world: int) -> Array:
    total = ours(0)
    for rank in range(1, world):
        total = ufunc(total, ours(rank))
    return total


def test_ranks_form_a_group_of_rays(group: tuple[int, dict[str, Any]]) -> None:
    """Past what another group of that name has left; what was told is taken away."""
    world, found = group

    assert found["joined"] == [""] * world
    assert found["told"] == []
    assert found["seat"] == [(rank, world) for rank in range(world)]


@pytest.mark.parametrize(
    ("how", "ufunc"),
    [("SUM", np.add), ("PRODUCT", np.multiply), ("MIN", np.minimum), ("MAX", np.maximum)],
)
def test_an_allreduce_of_every_kind(
    group: tuple[int, dict[str, Any]], how: str, ufunc: np.ufunc
) -> None:
    """To the bit what numpy makes of the ranks in their order."""
    world, found = group

    for array in found[how]:
        assert array.tobytes() == in_order(ufunc, world).tobytes()


def test_a_reduction_goes_to_one_rank(group: tuple[int, dict[str, Any]]) -> None:
    """The others keep their own."""
    world, found = group
    *others, last = found["reduce"]

    assert np.array_equal(last, in_order(np.add, world))
    assert all(np.array_equal(array, ours(rank)) for rank, array in enumerate(others))


def test_each_rank_gets_its_part_of_a_scattered_reduction(
    group: tuple[int, dict[str, Any]],
) -> None:
    """Part r of each rank was r times its own."""
    world, found = group

    for factor, array in enumerate(found["reducescatter"]):
        expected = ours(0) * factor
        for rank in range(1, world):
            expected = expected + ours(rank) * factor
        assert np.array_equal(array, expected)


def test_arrays_are_gathered_broadcast_and_passed_on(group: tuple[int, dict[str, Any]]) -> None:
    world, found = group

    for rank in range(world):
        everybodys = zip(found["allgather"][rank], range(world), strict=True)
        assert all(np.array_equal(part, ours(of)) for part, of in everybodys)
        assert np.array_equal(found["broadcast"][rank], ours(world - 1))
        assert np.array_equal(found["pass_on"][rank], ours(0))


def test_a_debug_call_travels_over_the_group(group: tuple[int, dict[str, Any]]) -> None:
    """Objects by way of Ray's own functions: each rank answers from a process of its own."""
    world, found = group

    for call, answers in found["objects"]:
        assert call == ("raylax.debug.rank", [1])
        assert [answer["rank"] for answer in answers] == list(range(world))
        assert len({answer["pid"] for answer in answers}) == world


def test_an_abort_frees_who_waits_in_a_collective_of_rays(
    group: tuple[int, dict[str, Any]],
) -> None:
    """And the group can be given back all the same."""
    world, found = group

    assert found["aborted"] == ["CommAborted: a watchdog's reason"] * world
    assert found["closed"] == [False] * world


def test_who_forms_a_group_alone_does_not_wait_for_ever(run: Any) -> None:
    """Whichever rank it is; and nothing stays in Ray's KV."""
    _, lonely, left = run

    assert lonely["RAYLAX_SHM", 0] == (
        "CommTimeout: rank 1 did not come to collective 1 within 0.5 s"
    )
    assert lonely["RAYLAX_TCP", 0] == (
        "CommTimeout: rank 1 did not come to the rendezvous within 0.5 s"
    )
    for backend in ("RAYLAX_SHM", "RAYLAX_TCP"):
        assert lonely[backend, 1] == (
            f"CommTimeout: rank 0 did not come to the group {backend}-alone-1 within 0.5 s"
        )
    assert left == []
