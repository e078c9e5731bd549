"""How long starts take, by who ordered them; and sums over workers that come and go."""

from raylax.cluster.autoscaling.counters import Counters
from raylax.cluster.autoscaling.starts import UNKNOWN_S, StartTimes


def test_a_start_is_from_the_order_to_ready() -> None:
    starts = StartTimes()
    for now, target, ready in ((0, 1, 1), (10, 3, 1), (18, 3, 2), (22, 3, 3)):
        starts.see(now, target, ready)

    assert list(starts.measured)[-2:] == [8, 12]


def test_an_order_that_is_called_back_is_no_start() -> None:
    starts = StartTimes()
    for now, target, ready in ((0, 0, 0), (0, 2, 0), (5, 1, 0), (9, 1, 1), (50, 2, 1), (57, 2, 2)):
        starts.see(now, target, ready)

    assert list(starts.measured) == [9, 7]


def test_who_dies_is_started_again_and_that_counts() -> None:
    starts = StartTimes()
    for now, target, ready in ((0, 2, 0), (4, 2, 2), (100, 2, 1), (106, 2, 2)):
        starts.see(now, target, ready)

    assert list(starts.measured) == [4, 4, 6]


def test_who_leaves_is_not_started_again() -> None:
    starts = StartTimes()
    for now, target, ready in ((0, 2, 0), (4, 2, 2), (100, 1, 2), (102, 1, 1), (200, 1, 1)):
        starts.see(now, target, ready)

    assert list(starts.measured) == [4, 4]
    assert (starts.under_way, starts.first_for_s(200)) == (0, None)


def test_until_a_start_was_seen_workers_say_how_long_theirs_took() -> None:
    starts = StartTimes()
    assert starts.median_s() == UNKNOWN_S
    assert starts.median_s(said=7.0) == 7.0
    starts.see(0, 1, 0)
    starts.see(20, 1, 1)
    assert starts.median_s(said=7.0) == 20.0


def test_of_those_under_way_the_first_is_known() -> None:
    """Who is ready was the first; the next one has been ordered later."""
    starts = StartTimes()
    for now, target, ready in ((0, 1, 1), (10, 2, 1), (14, 3, 1)):
        starts.see(now, target, ready)
    assert (starts.under_way, starts.first_for_s(16)) == (2, 6)
    starts.see(17, 3, 2)

    assert (starts.under_way, starts.first_for_s(18)) == (1, 4)


def test_a_sum_does_not_fall_when_somebody_leaves() -> None:
    counters = Counters()
    counters.since({"a": {"done": 10.0}, "b": {"done": 100.0}})

    assert counters.since({"a": {"done": 13.0}, "b": {"done": 101.0}}) == {"done": 4.0}
    assert counters.since({"a": {"done": 15.0}}) == {"done": 2.0}
    assert counters.since({"a": {"done": 15.0}, "c": {"done": 7.0}}) == {"done": 0.0}
    assert counters.since({"c": {"done": 9.0}}) == {"done": 2.0}


def test_who_begins_anew_takes_nothing_back() -> None:
    counters = Counters()
    counters.since({"a": {"done": 10.0}})

    assert counters.since({"a": {"done": 0.0}}) == {"done": 0.0}
    assert counters.since({"a": {"done": 3.0}}) == {"done": 3.0}
