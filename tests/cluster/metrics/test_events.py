"""What happened in the cluster, as the reports of workers tell it."""

from pathlib import Path
from typing import Any

from raylax.cluster.metrics.events import Event, EventKind, Events
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.cluster.metrics.state import EXPIRES_S
from raylax.router.observe.acts import Acts
from raylax.router.observe.measures import RouterMeasures, RouterReport
from tests.support.cluster_reports import report

JOINED, READY, DRAINING = EventKind.JOINED, EventKind.READY, EventKind.DRAINING
LEFT, FAILED, LOST = EventKind.LEFT, EventKind.FAILED, EventKind.LOST


def at(seconds: float) -> Moment:
    return Moment(1e6 + seconds, seconds)


def kinds(events: list[Event]) -> list[tuple[EventKind, str]]:
    """Without the configurations that were told."""
    return [(one.kind, one.who) for one in events if one.kind is not EventKind.CONFIGURED]


def told(record: ClusterRecord, *states: str, worker: str = "a") -> list[Event]:
    """What has happened after a worker has said these."""
    for second, state in enumerate(states):
        record.report(report(worker, state), at(second))
        record.turn(at(second))
    return record.events_after(0).events


def test_a_workers_life_is_told_once() -> None:
    """However often it reports."""
    events = told(
        ClusterRecord(), "loading", "loading", "ready", "ready", "draining", "ended", "ended"
    )

    assert kinds(events) == [(JOINED, "a"), (READY, "a"), (DRAINING, "a"), (LEFT, "a")]
    assert [one.at for one in events if one.kind is LEFT] == [1e6 + 5]


def test_a_worker_that_is_ready_at_once_has_joined_all_the_same() -> None:
    assert kinds(told(ClusterRecord(), "ready")) == [(JOINED, "a"), (READY, "a")]


def test_a_failure_says_why() -> None:
    record = ClusterRecord()
    told(record, "ready")
    record.report({**report("a", "failed"), "fault": "rank 1 is gone"}, at(1))

    last = record.events_after(0).events[-1]
    assert (last.kind, last.who, last.text) == (FAILED, "a", "rank 1 is gone")


def test_who_falls_silent_is_lost_and_who_said_goodbye_is_not() -> None:
    record = ClusterRecord()
    told(record, "ready", worker="b")
    told(record, "ready", "ended")
    for second in range(int(EXPIRES_S) + 3):
        record.turn(at(second))

    lost = [one for one in record.events_after(0).events if one.kind is LOST]
    assert [(one.who, one.text) for one in lost] == [("b", "silent for 10 s, it was ready")]


def test_another_configuration_of_a_model_is_told_field_by_field() -> None:
    """With who runs it, and whether it was started or loaded again; the same one is nothing new."""
    record = ClusterRecord()

    def says(worker: str, second: int, **changes: Any) -> None:
        said = report(worker)
        record.report({**said, "engine_config": {**said["engine_config"], **changes}}, at(second))

    says("a", 0)
    says("b", 1)
    says("a", 2, prefill_chunk_size=64)
    says("a", 3, prefill_chunk_size=64)
    says("c", 4, prefill_chunk_size=64)
    changes = [one for one in record.events_after(0).events if one.kind is EventKind.CONFIGURED]

    assert [(one.who, one.text, one.at) for one in changes] == [
        ("a", "a was started", 1e6),
        ("a", "a was loaded again with another prefill_chunk_size", 1e6 + 2),
    ]
    before = report("a")["engine_config"]["prefill_chunk_size"]
    assert changes[1].detail == {"prefill_chunk_size": {"before": before, "after": 64}}


def test_only_what_is_new_is_told() -> None:
    record = ClusterRecord()
    seen = told(record, "loading", "ready")[-1].id
    record.report(report("a", "draining"), at(2))

    assert kinds(record.events_after(seen).events) == [(DRAINING, "a")]


def test_events_are_bounded_and_no_kind_pushes_out_another() -> None:
    events = Events(most=3)
    events.add(JOINED, "first", 0.0)
    for number in range(50):
        events.add(LOST, f"w{number}", float(number))

    assert [one.who for one in events.after(0)] == ["first", "w47", "w48", "w49"]


def receipts(*choices: int, first: float = 100.0) -> list[dict[str, Any]]:
    """Decisions for so many workers, a second apart."""
    return [
        {"at_s": first + second, "choice": choice, "reason": "more comes", "need": choice}
        for second, choice in enumerate(choices)
    ]


def scaled(record: ClusterRecord) -> list[tuple[str, str, float]]:
    events = record.events_after(0).events
    return [(one.who, one.text, one.at) for one in events if one.kind is EventKind.SCALING]


def test_another_number_of_workers_is_told_once_with_its_receipt() -> None:
    """However often the last decisions are read; the first one that is known changes nothing."""
    record = ClusterRecord()
    for known in (receipts(1), receipts(1, 1, 3), receipts(1, 1, 3), receipts(1, 1, 3, 2)):
        record.decided({"tiny": known})

    assert scaled(record) == [
        ("tiny", "1 to 3 workers: more comes", 102.0),
        ("tiny", "3 to 2 workers: more comes", 103.0),
    ]
    assert record.events_after(0).events[0].detail == receipts(1, 1, 3)[-1]


def test_decisions_are_not_told_again_by_the_next_metrics(tmp_path: Path) -> None:
    before = ClusterRecord(tmp_path / "state")
    before.decided({"tiny": receipts(1, 3)})
    before.turn(at(0))
    before.close()
    after = ClusterRecord(tmp_path / "state")
    after.decided({"tiny": receipts(1, 3, 3, 4)})

    assert [text for _, text, _ in scaled(after)] == [
        "1 to 3 workers: more comes", "3 to 4 workers: more comes"
    ]  # fmt: skip


def of_kind(record: ClusterRecord, kind: EventKind) -> list[tuple[str, str]]:
    return [(one.who, one.text) for one in record.events_after(0).events if one.kind is kind]


def test_it_is_told_who_changed_which_setting() -> None:
    """The same ones again, as after a restart of what was deployed, are no change."""
    record = ClusterRecord()
    for second, (by, wait_s) in enumerate([("ann", 5), ("bob", 5), ("bob", 9)]):
        record.configured({"limits.max_wait_s": wait_s, "port": 1}, by, at(second))

    assert of_kind(record, EventKind.SETTINGS) == [
        ("ann", "for the first time"), ("bob", "another limits.max_wait_s")
    ]  # fmt: skip
    last = record.events_after(0).events[-1]
    assert last.detail == {"limits.max_wait_s": {"before": 5, "after": 9}}
    assert last.at == 1e6 + 2


def test_many_changes_have_a_short_line() -> None:
    record = ClusterRecord()
    for value in (1, 2):
        record.configured({f"keys.k{one}.share": value for one in range(50)}, "ann", at(value))
    last = record.events_after(0).events[-1]

    assert last.text.endswith("keys.k7.share, 42 more")
    assert len(last.detail) == 50


def test_an_engine_that_is_run_otherwise_says_who_had_changed_settings_last() -> None:
    record = ClusterRecord()
    record.configured({"max_num_sequence": 8}, "ann", at(0))
    told(record, "ready")
    record.configured({"max_num_sequence": 9}, "bob", at(1))
    said = report("b")
    record.report({**said, "engine_config": {**said["engine_config"], "threads": 3}}, at(2))

    assert of_kind(record, EventKind.CONFIGURED) == [
        ("a", "a was started"),
        ("b", "b was started with another threads; settings were changed last by bob"),
    ]


def test_settings_are_not_told_again_by_the_next_metrics(tmp_path: Path) -> None:
    """Also when the last one was killed at once; what changed meanwhile is."""
    before = ClusterRecord(tmp_path / "state")
    before.configured({"port": 1}, "ann", at(0))
    before.turn(at(0))
    before.close()
    after = ClusterRecord(tmp_path / "state")
    after.configured({"port": 1}, "ann", at(1))
    after.configured({"port": 2}, "bob", at(2))

    assert of_kind(after, EventKind.SETTINGS) == [
        ("ann", "for the first time"), ("bob", "another port")
    ]  # fmt: skip


def router_says(record: ClusterRecord, acts: Acts, second: int, state: Any = "ready") -> None:
    told = RouterMeasures(router="r", models={})
    said = RouterReport(
        router="r", pid=1, node="n", state=state, workers={}, acts=acts.last, measures=told
    )
    record.report_router(said, at(second))
    record.turn(at(second))


def test_what_an_admin_had_done_is_told_once_with_the_name_of_the_key(tmp_path: Path) -> None:
    """However often a router says so, and also by the next Metrics."""
    times = iter([1e6, 1e6 + 1, 1e6 + 3])
    acts, record = Acts(times.__next__), ClusterRecord(tmp_path / "state")
    acts.add("root", "drain w1")
    acts.add("", "reset of tiny")
    for second in (2, 3):
        router_says(record, acts, second)
    record.close()
    after = ClusterRecord(tmp_path / "state")
    acts.add("root", "FlushCache")
    router_says(after, acts, 4)

    assert of_kind(after, EventKind.COMMANDED) == [
        ("root", "drain w1"), ("somebody without a key", "reset of tiny"), ("root", "FlushCache")
    ]  # fmt: skip


def test_a_router_that_ends_or_was_silent_says_nothing_twice() -> None:
    """Its last report has all of its commands again."""
    acts, record = Acts(iter([1e6]).__next__), ClusterRecord()
    acts.add("root", "drain w1")
    for second, state in [(0, "ready"), (30, "ready"), (31, "ended")]:
        record.turn(at(second - 1))
        router_says(record, acts, second, state)

    assert {EventKind.LOST, EventKind.LEFT} <= {one.kind for one in record.events_after(0).events}
    assert of_kind(record, EventKind.COMMANDED) == [("root", "drain w1")]
