"""What can be asked of the past."""

from typing import Any

import pytest

from raylax.cluster.metrics.history.of_workers import OF_WORKERS, WORKER
from raylax.cluster.metrics.history.questions import MOST_VALUES, History
from raylax.cluster.metrics.record import ClusterRecord, Moment
from raylax.proto.errors import InvalidRequest
from tests.support.cluster_reports import report

START = 1_000_020
"""A whole minute."""


def at(second: float) -> Moment:
    return Moment(START + second, second)


def lived(seconds: int, **workers: str) -> ClusterRecord:
    """A record of workers of these models, which generate 7 tokens a second each."""
    record = ClusterRecord()
    record.turn(at(0))
    for second in range(seconds):
        for name, model in workers.items():
            said = report(name, running=2, generated_tokens=7 * second, step=second)
            record.report({**said, "model": model}, at(second))
        record.turn(at(second + 1))
    return record


def asked(record: ClusterRecord, now: float, **fields: Any) -> History:
    return record.history({name: str(value) for name, value in fields.items()}, at(now))


def test_sums_of_each_model_and_of_the_cluster_are_told_unasked() -> None:
    told = asked(lived(20, a="x", b="x", c="y"), 20, since=-10, columns="running,generated_tokens")

    assert told.step_s == 1
    assert told.at == list(range(START + 10, START + 20))
    assert {row.name: set(row.values["running"]) for row in told.rows} == {
        "": {6.0}, "x": {4.0}, "y": {2.0}
    }  # fmt: skip
    assert {row.name: set(row.values["generated_tokens"]) for row in told.rows} == {
        "": {21.0}, "x": {14.0}, "y": {7.0}
    }  # fmt: skip


def test_a_worker_is_told_by_name_also_when_it_is_gone() -> None:
    record = lived(20, a="x", b="x")
    record.report(report("a", "ended"), at(20))
    told = asked(record, 20, since=-5, rows="a", columns="running")

    assert [(row.name, row.model, row.gone) for row in told.rows] == [("a", "x", True)]
    assert told.rows[0].values == {"running": [2.0] * 5}
    assert [row.name for row in asked(record, 20, since=-5, rows="all").rows] == ["a", "b"]


def test_points_are_means_over_the_step_that_was_asked_for() -> None:
    record = ClusterRecord()
    record.turn(at(0))
    for second in range(20):
        record.report(report("a", running=second), at(second))
        record.turn(at(second + 1))
    told = asked(record, 20, since=START, step=5, columns="running", rows="a")

    assert told.step_s == 5
    assert told.rows[0].values["running"] == [2.0, 7.0, 12.0, 17.0]


@pytest.mark.parametrize(
    ("since", "step", "expected"),
    [(-60, 0, 1), (-300, 0, 1), (-600, 0, 10), (-3600, 0, 10), (-86400, 0, 300), (-600, 1, 10),
     (-3600, 25, 20), (-7200, 1, 60), (-60, 30, 30), (-86400, 60, 60)],
)  # fmt: skip
def test_the_step_is_the_finest_that_reaches_back_so_far(
    since: int, step: int, expected: int
) -> None:
    """Unasked it comes to some hundreds of points; asked for, to the next that there is."""
    told = asked(lived(3, a="x"), 90_000, since=since, step=step, columns="running")

    assert told.step_s == expected
    assert all(one % expected == 0 for one in told.at)


def test_what_is_not_known_is_null() -> None:
    """Before a worker came, after it fell silent, and what it cannot know."""
    record = lived(5, a="x")
    for second in range(5, 20):
        record.turn(at(second + 1))
    told = asked(record, 20, since=-25, columns="running,power_w", rows="a")
    running = told.rows[0].values["running"]

    assert running == [None] * 5 + [2.0] * 8 + [None] * 12
    assert set(told.rows[0].values["power_w"]) == {None}


def test_ratios_are_made_of_what_was_counted() -> None:
    record = ClusterRecord()
    record.turn(at(0))
    for second in range(10):
        said = report(
            "a", prompt_tokens=8 * second, cached_tokens=2 * second, drafted_tokens=5 * second,
            accepted_tokens=4 * second,
        )  # fmt: skip
        record.report(said, at(second))
        record.turn(at(second + 1))
    told = asked(record, 10, since=-5, rows="a", columns="kv_usage,prefix_hit_rate,acceptance")

    assert {name: values[-1] for name, values in told.rows[0].values.items()} == {
        "kv_usage": 0.25, "prefix_hit_rate": 0.25, "acceptance": 0.8
    }  # fmt: skip


def test_every_column_says_what_it_is() -> None:
    told = asked(lived(3, a="x"), 5)

    assert list(told.columns) == [*WORKER.names, *OF_WORKERS]
    assert all(one.text for one in told.columns.values())


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"kind": "cats"}, "there is no history of 'cats', but of workers"),
        ({"columns": "running,mice"}, "no column 'mice'; there is running"),
        ({"rows": "a,nobody"}, "nothing is known of 'nobody'; rows=all shows everyone"),
        ({"since": -5, "until": -5}, "since must be before until: 1000115, 1000115"),
        ({"since": 900_000, "until": 900_060}, "there is history from 913720 to 1000120"),
        ({"since": "yesterday"}, "since"),
        ({"since": "nan"}, "since"),
        ({"step": "-1"}, "step"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_line(fields: dict[str, str], error: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        asked(lived(3, a="x"), 100, **fields)

    assert error in wrong.value.message
    assert "\n" not in wrong.value.message


def test_an_answer_is_bounded() -> None:
    record = lived(2, **{f"w{number}": "x" for number in range(30)})

    many = 30 * (len(WORKER) + len(OF_WORKERS)) * 300
    with pytest.raises(InvalidRequest, match=f"at most {MOST_VALUES} values, not {many}"):
        asked(record, 400, since=-300, step=1, rows="all")


def test_no_more_digits_are_told_than_were_measured() -> None:
    record = ClusterRecord()
    record.turn(at(0))
    record.report({**report("a"), "engine_metrics": {}, "gpus": [], "energy_j": None}, at(0))
    pace = {"a": 1 / 3, "b": 2e-7 / 3, "c": 0.0, "d": 12345678.0}
    said = report("a")
    record.report({**said, "load": {**said["load"], "pace": pace}}, at(0.5))
    record.turn(at(1))
    told = asked(record, 1, since=START, rows="a")
    names = ("pace_step_s", "pace_prefill_s", "pace_decode_s", "pace_context_s")

    assert [told.rows[0].values[name][0] for name in names] == [0.333333, 6.66667e-08, 0, 12345700]


@pytest.mark.parametrize("since", [5, -1e9, -1e11])
@pytest.mark.parametrize("until", [0, 1e11])
def test_who_asks_for_all_time_gets_the_last_day(since: float, until: float) -> None:
    """And no room is made for what nobody knows, which may be more than there is memory."""
    told = asked(lived(20, a="x"), 20, since=since, until=until, columns="running")

    assert START + 20 - 86400 <= told.at[0] < START + 20 - 86400 + 2 * told.step_s
    assert told.rows[0].values["running"][-1] == 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"since": -1e300}, "since: Input should be greater than or equal to -100000000000"),
        ({"until": 1e300}, "until: Input should be less than or equal to 100000000000"),
        ({"since": "nan"}, "since: Input should be a finite number"),
        ({"step": 1e300}, "step: Input should be less than or equal to 86400"),
    ],
)
def test_times_that_are_none_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        asked(lived(20, a="x"), 20, **fields)
