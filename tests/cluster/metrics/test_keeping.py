"""Metrics goes on where it was: after its own end, and after that of routers and workers."""

from pathlib import Path
from typing import Any

import pytest

from raylax.cluster.metrics.events import EventKind
from raylax.cluster.metrics.history.questions import History
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.cluster.metrics.state import EXPIRES_S
from raylax.router.observe import measures as m
from raylax.router.observe.measures import RouterMeasures, RouterReport
from raylax.router.observe.metrics import CallMetrics
from tests.support.cluster_reports import report

START = 1_000_020
"""A whole minute."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def at(second: float, begun: float = 0.0) -> Moment:
    return Moment(START + second, second - begun)


def router_report(name: str, ended: int, state: Any = "ready") -> RouterReport:
    metrics = CallMetrics("round-robin")
    metrics.inflight = 3
    metrics.counted[m.SUCCESS]["stop"] = ended
    for _ in range(ended):
        metrics.of[m.E2E].observe(0.5)
    told = RouterMeasures(router=name, models={"tiny": metrics.measures()})
    return RouterReport(router=name, pid=7, node="n", state=state, workers={}, measures=told)


def live(record: ClusterRecord, first: int, last: int, begun: float = 0.0) -> None:
    """Two workers and a router report from one second to another one."""
    for second in range(first, last):
        for worker in ("a", "b"):
            said = report(worker, running=4, generated_tokens=7 * second)
            record.report(said, at(second, begun))
        record.report_router(router_report("r", second), at(second, begun))
        record.turn(at(second + 0.5, begun))


def minutes(record: ClusterRecord, now: float, begun: float = 0.0, **asked: str) -> History:
    fields = {"since": str(START), "step": "60", "columns": "running,generated_tokens"}
    return record.history({**fields, **asked}, at(now, begun))


def test_after_its_end_history_is_there_by_minutes(path: Path) -> None:
    before = ClusterRecord(path)
    live(before, 0, 310)
    before.close()
    after = ClusterRecord(path)

    for rows in ("sums", "a", "b"):
        was, known = minutes(before, 300, rows=rows), minutes(after, 300, rows=rows)
        assert [row.values for row in known.rows] == [row.values for row in was.rows]
        assert known.rows[0].values["generated_tokens"][1] == (14 if rows == "sums" else 7)


def test_it_goes_on_with_those_that_are_still_there(path: Path) -> None:
    """Nobody has joined or was lost by it, and nothing is counted twice."""
    before = ClusterRecord(path)
    live(before, 0, 130)
    before.close()
    told = len(before.events_after(0).events)
    after = ClusterRecord(path)
    live(after, 135, 300, begun=135)

    assert len(after.events_after(0).events) == told
    known = minutes(after, 300, begun=135, rows="a").rows[0]
    assert not known.gone
    assert known.values["generated_tokens"] == pytest.approx([7] * 5, rel=0.02)


def test_who_went_meanwhile_is_lost(path: Path) -> None:
    """Once everyone has had the time to speak."""
    before = ClusterRecord(path)
    live(before, 0, 70)
    before.close()
    after = ClusterRecord(path)
    for second in range(80, 80 + int(EXPIRES_S) + 5):
        after.report(report("a"), at(second, 80))
        after.turn(at(second, 80))
        events = after.events_after(0).events
        lost = {one.who for one in events if one.kind is EventKind.LOST}
        assert lost == set() or second >= 80 + EXPIRES_S

    assert lost == {"b", "r"}


def test_what_those_counted_that_are_gone_is_still_counted(path: Path) -> None:
    """Workers and routers; a counter never falls."""
    before = ClusterRecord(path)
    live(before, 0, 50)
    before.report(report("b", "ended", generated_tokens=1000), at(50))
    before.report_router(router_report("r", 60, "ended"), at(50))
    live_still = report("a", generated_tokens=500)
    for second in range(50, 125):
        before.report(live_still, at(second))
        before.turn(at(second))
    before.close()
    after = ClusterRecord(path)
    after.report(live_still, at(130))

    assert after.reports.totals("generated_tokens") == {"tiny": 1500}
    told = after.routers.besides(["another"])
    assert told is not None
    assert told.models["tiny"].counters[m.SUCCESS] == {"stop": 60}


def test_the_engine_configuration_is_still_known(path: Path) -> None:
    """What changed meanwhile is told, field by field."""
    before = ClusterRecord(path)
    live(before, 0, 70)
    before.close()
    after = ClusterRecord(path)
    said = report("c")
    after.report({**said, "engine_config": {**said["engine_config"], "threads": 3}}, at(80, 80))
    last = after.events_after(0).events[-1]

    assert (last.kind, last.who) == (EventKind.CONFIGURED, "c")
    assert last.detail == {"threads": {"before": 1, "after": 3}}


def test_a_full_file_has_all_that_is_to_be_known(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it was begun anew."""
    monkeypatch.setattr("raylax.cluster.metrics.record.FILE_BYTES", 32_000)
    before = ClusterRecord(path)
    before.report(report("gone", "ended", generated_tokens=11), at(0))
    live(before, 0, 3600)
    before.close()
    after = ClusterRecord(path)

    assert path.stat().st_size + path.with_suffix(".previous").stat().st_size <= 32_000
    counted = {worker: one.last for worker, one in after.reports.counted.items()}
    assert counted["gone"]["generated_tokens"] == 11
    assert counted["a"]["generated_tokens"] == pytest.approx(7 * 3600, rel=0.02)


def test_two_that_hear_the_same_tell_the_same(path: Path) -> None:
    """Also where one of them was killed in between: by minutes, that were heard by both."""
    whole, first = ClusterRecord(), ClusterRecord(path)
    live(whole, 0, 400)
    live(first, 0, 125)
    first.close()
    second = ClusterRecord(path)
    live(second, 125, 400, begun=125)

    was, known = minutes(whole, 400), minutes(second, 400, begun=125)
    assert [row.name for row in known.rows] == [row.name for row in was.rows]
    for mine, theirs in zip(known.rows, was.rows, strict=True):
        assert mine.values["running"] == theirs.values["running"]
    assert whole.reports.totals("generated_tokens") == second.reports.totals("generated_tokens")


def test_a_router_that_was_only_silent_is_not_counted_twice() -> None:
    record = ClusterRecord()
    record.report_router(router_report("r", 5), at(0))
    record.turn(at(60))
    record.report_router(router_report("r", 9), at(60))

    assert record.routers.besides(["r"]) is None
    told = record.routers.besides([])
    assert told is not None
    assert told.models["tiny"].counters[m.SUCCESS] == {"stop": 9}
    assert set(told.models["tiny"].gauges.values()) == {0}


def test_routers_that_are_gone_are_forgotten_but_for_what_they_counted() -> None:
    record = ClusterRecord()
    for number in range(60):
        record.report_router(router_report(f"r{number}", 2, "ended"), at(number))
    told = record.routers.besides([])

    assert len(record.routers.known) == 20
    assert told is not None
    assert told.models["tiny"].counters[m.SUCCESS] == {"stop": 120}
