"""A worker's ranks on several nodes of a real Ray, all of them at loopback addresses."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster_on_nodes import results_of
from tests.support.engines import running_engine

pytestmark = [pytest.mark.cluster, pytest.mark.filterwarnings("ignore")]  # ray_nodes imports Ray


@pytest.fixture(scope="module")
def run(uneven: Path) -> Iterator[Any]:
    """Everything happens once; the tests look at what came of it."""
    with results_of("tests.support.cluster_ray_nodes", uneven) as results:
        yield results


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
    """Of four that Ray is told of; the first rank, which is the replica, too."""
    assert sorted(run["devices"]) == ["0", "1"]
