"""Which workers are a model's, by what Serve says of them."""

from typing import NamedTuple

import pytest


@pytest.mark.filterwarnings("ignore")
def test_routers_use_the_workers_of_their_model_only() -> None:
    """While one model replaces another, workers of both are there: no sequence of the one may go
    on with the weights of the other."""
    from raylax.router.discovery import WorkerRoll

    class Running(NamedTuple):
        replica_metadata: dict[str, str]

    theirs, ours = (
        {"worker_id": name, "step_addr": name, "model_id": f"model of {name}"} for name in "ab"
    )
    roll = WorkerRoll("model of b")
    roll.fill([Running(theirs), Running({}), Running(ours)])

    assert roll.addresses == {"b": "b"}
