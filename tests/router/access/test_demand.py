"""What the autoscaler is told of a model of which no worker has been seen, and of one that is
served."""

from pathlib import Path

import pytest

from raylax.proto.errors import WorkerUnavailable
from raylax.router.access.demand import Demand
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig


def test_who_asks_for_a_model_without_workers_is_counted(checkpoint: Path) -> None:
    """Else nobody would order the first one."""
    models = Models([RouterConfig("tiny", str(checkpoint), "")])
    for _ in range(2):
        with pytest.raises(WorkerUnavailable):
            models.named("tiny")

    assert models.scaling_stats() == {
        "arrived/tiny": 2, "prompt_tokens/tiny": 0, "held/tiny": 0, "held_tokens/tiny": 0,
    }  # fmt: skip


def test_a_call_counts_its_requests_and_their_prompts() -> None:
    demand = Demand()
    demand.came(3, 120)
    demand.came(1, 5)

    assert (demand.arrived, demand.prompt_tokens) == (4, 125)


def test_a_worker_that_is_late_is_expected_at_any_moment() -> None:
    demand = Demand(next_ready_at=20.0)

    assert [demand.next_ready_s(now) for now in (5.0, 30.0)] == [15.0, 0.0]
    assert Demand().next_ready_s(5.0) is None
