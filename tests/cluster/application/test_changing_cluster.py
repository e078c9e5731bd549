"""An application that is deployed again, and a node that goes: answers do not notice."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.checkpoints import write_checkpoint
from tests.support.cluster_on_nodes import PATIENCE_S, results_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(PATIENCE_S + 60)]
EXIT_S = 5.0
"""Serve would kill a worker then."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Everything happens once; the tests look at what came of it."""
    model = write_checkpoint(tmp_path_factory.mktemp("long"), max_position_embeddings=16384)
    with results_of("tests.support.cluster_changing", model) as results:
        yield results


@pytest.mark.parametrize("change", ["updated", "preempted"])
def test_answers_are_unbroken_and_the_same(run: Any, change: str) -> None:
    """Some of them were where a worker went, and were handed over with their pages."""
    answers = run[change]["answers"]

    assert [one["failure"] for one in answers] == [""] * len(answers)
    assert all(one["same"] for one in answers)
    moments = [moment for one in answers for moment in one["moments"]]
    assert "handed over" in moments
    assert "lost" not in moments


@pytest.mark.parametrize("change", ["updated", "preempted"])
def test_the_worker_exits_in_seconds(run: Any, change: str) -> None:
    assert run[change]["took_s"] < EXIT_S


def test_only_what_has_changed_is_replaced(run: Any) -> None:
    """A setting of the engine: every worker, and no router."""
    assert run["updated"]["router stays"]
    assert run["updated"]["workers stay"] == set()


def test_who_finds_no_gpu_is_demand_for_rays_cluster_autoscaler(run: Any) -> None:
    """A replica that Serve cannot place, with all that it needs: where nodes are provided, one of
    that kind comes."""
    (asked,) = run["asked of Ray"]

    assert asked["GPU"] == 1
    assert asked["CPU"] >= 1
