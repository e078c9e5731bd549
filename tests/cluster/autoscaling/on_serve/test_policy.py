"""The policies as Serve's controller calls them, with what replicas really record."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from raylax.cluster.autoscaling.on_serve.board import decisions
from raylax.cluster.autoscaling.on_serve.desk import DESKS
from raylax.cluster.autoscaling.on_serve.policy import RouterPolicy, WorkerPolicy
from raylax.proto.vocabulary import Load, StepTime
from raylax.worker.serving.scaling_stats import scaling_stats

PACE = StepTime(0.008, 50e-6, 40e-6, 50e-9)
DAY = datetime(2026, 11, 30, 12, tzinfo=UTC)


class MemoryStore:
    """Bytes by key, as in Ray's store."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}

    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.values if key.startswith(prefix)]


def recorded(stats: dict[str, dict[str, float]]) -> dict[str, dict[str, list[Any]]]:
    """As Serve keeps it: by name and replica a series."""
    names = {name for values in stats.values() for name in values}
    return {
        name: {
            who: [SimpleNamespace(value=values[name])]
            for who, values in stats.items()
            if name in values
        }
        for name in names
    }


@dataclass
class Cluster:
    """One model's deployment and a router, as their policies see them, second by second."""

    application: str
    policy: WorkerPolicy
    store: MemoryStore
    model: str = "m"
    target: int = 1
    ready: int = 1
    now: float = 1000.0
    arrived: float = 0.0
    held: int = 0
    loads: dict[str, Load] = field(default_factory=dict)

    def second(self, arrivals: float = 0.0, prompt: float = 1000.0) -> int:
        """One second in which so many requests come and end, and what is then wanted."""
        self.now, self.arrived = self.now + 1, self.arrived + arrivals
        name = self.model
        said = {
            f"arrived/{name}": self.arrived, f"prompt_tokens/{name}": self.arrived * prompt,
            f"held/{name}": float(self.held), f"held_tokens/{name}": self.held * prompt,
        }  # fmt: skip
        router = SimpleNamespace(
            app_name=self.application, raw_metrics=recorded({"r": said}), target_num_replicas=1
        )
        assert RouterPolicy()(router) == (1, {})
        load = Load(
            ended=int(self.arrived), ended_tokens=200 * int(self.arrived), decoding=int(arrivals),
            context_tokens=1100 * int(arrivals), pace=PACE, step_tokens=2048, running=int(arrivals),
        )  # fmt: skip
        self.loads = {"w": load} if self.ready else {}
        stats = {who: scaling_stats(one, 12.0) for who, one in self.loads.items()}
        context = SimpleNamespace(
            app_name=self.application, raw_metrics=recorded(stats),
            target_num_replicas=self.target, current_num_replicas=self.ready,
        )  # fmt: skip
        return self.policy.at(self.now, DAY, context)


def cluster(application: str, **settings: Any) -> Cluster:
    DESKS.pop(application, None)
    store = MemoryStore()
    given = {"model": "m", "least": 1, "most": 10, **settings}
    return Cluster(application, WorkerPolicy(**given, store=store), store, given["model"])


def test_work_that_comes_orders_workers() -> None:
    """45 requests a second, each 1,000 tokens and 200 of an answer, are four workers' work."""
    made = cluster("work", ttft_s=1.0, itl_s=0.075)
    wanted = [made.second(45) for _ in range(60)]

    assert wanted[0] == 1  # nothing is known at the first look
    assert wanted[-1] == 4


def test_in_between_it_says_the_same() -> None:
    """Serve asks ten times a second; a decision is made every two."""
    made = cluster("between")
    for _ in range(20):
        made.second(45)
    (kept,) = decisions(made.store).values()

    assert len({one["inputs"]["now"] for one in kept}) == len(kept)
    assert all(one["inputs"]["dt"] == 2.0 for one in kept)


def test_a_dry_run_decides_and_does_nothing() -> None:
    made = cluster("dry", dry_run=True)
    wanted = {made.second(45) for _ in range(60)}
    (kept,) = decisions(made.store).values()

    assert wanted == {1}
    assert kept[-1]["choice"] == 4
    assert kept[-1]["dry_run"]


def test_a_request_that_waits_at_a_router_orders_the_first_worker() -> None:
    """And nobody who has not come does."""
    made = cluster("zero", least=0)
    made.target = made.ready = 0
    quiet = [made.second() for _ in range(6)]
    made.held = 1
    woken = [made.second() for _ in range(3)]

    assert quiet == [0] * 6
    assert woken[-1] == 1


def test_starts_are_measured_and_until_then_workers_say_theirs() -> None:
    made = cluster("starts")
    for _ in range(4):
        made.second(1)
    (kept,) = decisions(made.store).values()
    assert kept[-1]["inputs"]["start_s"] == 12.0
    made.target = 2
    for _ in range(7):
        made.second(1)
    made.ready = 2
    for _ in range(4):
        made.second(1)
    (kept,) = decisions(made.store).values()

    assert kept[-1]["inputs"]["start_s"] == 7.0
    assert [one["next_ready_s"] for one in kept if one["next_ready_s"] is not None]


def test_least_follows_the_calendar() -> None:
    made = cluster("calendar", schedule=[["0 11 * * *", 4], ["0 18 * * *", 1]])
    wanted = [made.second() for _ in range(4)]

    assert wanted[-1] == 4


def test_two_models_share_a_pool() -> None:
    """Both want four, there are five: who is worth more has all that it wants."""
    rich = cluster("pool", model="rich", pool=5, weight=5, itl_s=0.075)
    poor = Cluster(
        "pool",
        WorkerPolicy("poor", 1, 10, pool=5, itl_s=0.075, store=rich.store),
        rich.store,
        "poor",
    )
    for _ in range(200):
        rich.target = rich.second(45)
        poor.target = poor.second(45)

    assert (rich.target, poor.target) == (4, 1)
    last = decisions(rich.store)["poor"][-1]
    assert "the pool of 5 has 1 for this model" in last["reason"]


def test_decisions_are_kept_when_they_differ_and_once_a_minute() -> None:
    """And the very last one, so that one sees what holds now; a new controller goes on there."""
    made = cluster("kept")
    for _ in range(200):
        made.second(1)
    (kept,) = decisions(made.store).values()
    assert len(kept) < 12
    again = Cluster("kept", WorkerPolicy("m", 1, 10, store=made.store), made.store)
    for _ in range(4):
        again.second()
    (more,) = decisions(made.store).values()

    assert len(more) > len(kept)


def test_a_store_that_is_away_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    made = cluster("away")
    made.store.values["scaling/m"] = b"no json"
    wanted = [made.second(45) for _ in range(60)]

    assert wanted[-1] == 4
    assert caplog.text.count("decisions cannot be kept: JSONDecodeError") == 1
