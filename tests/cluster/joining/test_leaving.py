"""What a machine of Ray's does before it goes, as a pod that is evicted."""

from collections.abc import Iterator
from typing import Any

import pytest

from raylax.cluster.errors import UserError
from raylax.cluster.joining.leaving import Raylet, the_raylet
from tests.support.checkpoints import write_checkpoint
from tests.support.cluster_on_nodes import PATIENCE_S, results_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Everything happens once; the tests look at what came of it."""
    model = write_checkpoint(tmp_path_factory.mktemp("long"), max_position_embeddings=16384)
    with results_of("tests.support.cluster_evicting", model) as results:
        yield results


@pytest.mark.cluster
@pytest.mark.timeout(PATIENCE_S + 60)
def test_streams_of_a_router_that_is_evicted_go_on_to_their_ends(run: Any) -> None:
    """It leaves when its readers have enough, and not before; another one has taken its place."""
    assert run["failures"] == [""] * len(run["failures"])
    assert len(set(run["parts"])) == 1
    assert run["idle"]
    assert run["router has gone"] and run["router moved"]


def test_there_must_be_one_raylet() -> None:
    one, other = Raylet(1, "a", "10.0.0.2:1"), Raylet(2, "b", "10.0.0.2:1")

    assert the_raylet([one]) == one
    with pytest.raises(UserError, match="must be one raylet of Ray on this machine, found 0: none"):
        the_raylet([])
    with pytest.raises(UserError, match="found 2: 1, 2"):
        the_raylet([one, other])
