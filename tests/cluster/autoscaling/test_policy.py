"""How many workers: tables of what they say, and the wrapper that Ray Serve calls."""

from types import SimpleNamespace

import pytest

from raylax.cluster.autoscaling.policy import (
    KVPolicy,
    Thresholds,
    WorkerLoad,
    desired_replicas,
)

MARKS = Thresholds(high_kv_usage=0.8, low_kv_usage=0.3, high_waiting=4)
IDLE, HALF, FULL = WorkerLoad(0.0, 0), WorkerLoad(0.5, 0), WorkerLoad(0.95, 0)
QUEUED, ONE_WAITS = WorkerLoad(0.1, 9), WorkerLoad(0.1, 1)


@pytest.mark.parametrize(
    ("why", "loads", "current", "wanted"),
    [
        ("one is idle, and stays: the least", [IDLE], 1, 1),
        ("pages are short", [FULL], 1, 2),
        ("requests wait although pages are free", [QUEUED], 1, 2),
        ("one of two is full, on average there is room", [FULL, IDLE], 2, 2),
        ("both are full", [FULL, FULL], 2, 3),
        ("all are full, and the most are there", [FULL] * 4, 4, 4),
        ("half full is between the marks", [HALF, HALF], 2, 2),
        ("the other takes over what there is", [IDLE, WorkerLoad(0.2, 0)], 2, 1),
        ("the other would come to stand above the low mark", [WorkerLoad(0.2, 0)] * 2, 2, 2),
        ("nobody leaves while somebody waits", [IDLE, ONE_WAITS], 2, 2),
        ("nobody has said anything yet", [], 3, 3),
        ("more than the most are left from before", [IDLE] * 6, 6, 4),
        ("none is left", [], 0, 1),
    ],
)
def test_the_number_of_workers(
    why: str, loads: list[WorkerLoad], current: int, wanted: int
) -> None:
    """Between one and four."""
    assert desired_replicas(loads, current, 1, 4, MARKS) == wanted, why


def test_it_does_not_swing() -> None:
    """A worker just added is not taken away again by the load that called for it."""
    for percent in range(81, 100):
        total = percent / 100
        after = [WorkerLoad(total / 2, 0)] * 2

        assert desired_replicas(after, 2, 1, 4, MARKS) == 2


def test_serve_is_answered_by_what_the_workers_record() -> None:
    """By replica, as `WorkerReplica.record_autoscaling_stats` names it; it keeps no state."""
    context = SimpleNamespace(
        aggregated_metrics={"kv_usage": {"a": 0.9, "b": 0.9}, "waiting": {"a": 0.0}},
        target_num_replicas=2,
        capacity_adjusted_min_replicas=1,
        capacity_adjusted_max_replicas=4,
    )
    policy = KVPolicy(high_kv_usage=0.8, low_kv_usage=0.3, high_waiting=4)

    assert policy(context) == (3, {})
    context.aggregated_metrics = None
    assert policy(context) == (2, {})
