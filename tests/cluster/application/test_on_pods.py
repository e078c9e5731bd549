"""The application as a RayService runs it: where it is put, and what an upgrade in place costs."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.checkpoints import write_checkpoint
from tests.support.cluster_on_nodes import PATIENCE_S, results_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(PATIENCE_S + 60)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Everything happens once; the tests look at what came of it."""
    model = write_checkpoint(tmp_path_factory.mktemp("long"), max_position_embeddings=16384)
    with results_of("tests.support.cluster_rolling", model) as results:
        yield results


def test_an_upgrade_in_place_loses_nothing(run: Any) -> None:
    """Every worker is another one, and every answer went on, as it would have in any case."""
    longest = max(run["answers"], key=len)

    assert run["failures"] == [""] * len(run["answers"])
    assert all(longest.startswith(one) for one in run["answers"])
    assert run["stayed"] == set()


def test_each_deployment_is_in_its_own_pods(run: Any) -> None:
    """The head has no core for anybody, and yet Metrics; workers have a pod each."""
    assert run["nodes"] == {
        "Metrics": {"127.0.0.2"},
        "Router": {"127.0.0.2"},
        "Worker": {"127.0.0.3", "127.0.0.4"},
    }
