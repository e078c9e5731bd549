"""What the autoscaler is told of a model of which no worker has been seen, and of one that is
served."""

from pathlib import Path

import pytest

from raylax.proto.errors import WorkerUnavailable
from raylax.proto.wire.outlook import Outlook
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
    """The router's clock is another one than the calendar's."""
    demand = Demand()
    demand.expect(Outlook(1, 1, ordered_at_s=1000.0, start_s=20.0), now=5.0, now_s=1005.0)
    said = [demand.next_ready_s(now) for now in (5.0, 30.0)]
    demand.expect(Outlook(1, 1, ordered_at_s=1000.0, start_s=20.0), now=30.0, now_s=1030.0)
    late = demand.next_ready_s(30.0)
    demand.expect(Outlook(1, 0, None, 20.0), now=31.0, now_s=1031.0)

    assert (said, late) == ([15.0, 0.0], 0.0)
    assert demand.next_ready_s(31.0) is None


def test_without_a_least_the_next_request_orders_a_worker() -> None:
    demand = Demand()
    said = [demand.on_demand]
    for outlook in (Outlook(0, 0, None, 20.0), Outlook(2, 0, None, 20.0), None):
        demand.expect(outlook, now=5.0, now_s=1005.0)
        said.append(demand.on_demand)

    assert said == [False, True, False, False]
