"""What is kept of a day: at which resolution, of whom, in how many bytes."""

import numpy as np
import pytest

from raylax.cluster.metrics.history.columns import Column, Columns, Kind
from raylax.cluster.metrics.history.ring import LEVELS, Level, Ring
from raylax.cluster.metrics.history.series import CLUSTER, GONE_S, SILENT_S, Numbers, Series

COLUMNS = Columns(
    [
        Column("running", Kind.GAUGE, "requests in the batch"),
        Column("pace", Kind.MEAN, "seconds of a step"),
        Column("tokens", Kind.COUNTER, "tokens generated"),
    ]
)
FEW = (Level(1, 4), Level(10, 3))
START = 1_000_000.0
"""It divides by ten and by sixty leaves 40."""


def row(running: float = 0.0, pace: float = 0.0, tokens: float = 0.0) -> Numbers:
    return np.array([running, pace, tokens])


def series(most_bytes: int = 1 << 24, levels: tuple[Level, ...] = LEVELS) -> Series:
    return Series(COLUMNS, most_bytes, levels)


def told(one: Series, name: str, seconds: int, first: float = START) -> list[list[float]]:
    """What a row says of so many seconds, from the first one on."""
    ring = one.sums.get(name) or one.rows[name].ring
    assert ring is not None
    slots = ring.between(int(first), int(first) + seconds - 1, ring.levels[0])
    return [[*map(float, values)] for values in slots.values]


def test_a_slot_is_the_mean_of_its_seconds() -> None:
    ring = Ring(1, FEW)
    for second in range(20, 33):
        ring.add(second, np.array([second], np.float32))
    tens = ring.between(20, 39, FEW[1])

    assert tens.values[:, 0].tolist() == [24.5, 31.0]
    assert tens.counts.tolist() == [10, 3]
    assert ring.between(29, 32, FEW[0]).values[:, 0].tolist() == [29, 30, 31, 32]


def test_what_is_older_than_a_level_is_not_known_there() -> None:
    """Nor is what nobody spoke in, nor what is to come; nothing of before comes back."""
    ring = Ring(1, FEW)
    for second in (20, 24, 26):
        ring.add(second, np.array([second], np.float32))
    known = ring.between(20, 28, FEW[0])
    spoken = [second in (24, 26) for second in range(20, 29)]

    assert (~np.isnan(known.values[:, 0])).tolist() == spoken
    assert known.counts.tolist() == spoken
    assert ring.between(20, 29, FEW[1]).values.tolist() == [[pytest.approx(70 / 3)]]


def test_a_clock_that_is_set_back_spoils_no_slot() -> None:
    """However often it is: a slot never counts more seconds than it has."""
    ring = Ring(1, FEW)
    for _ in range(300):
        ring.add(20, np.array([7], np.float32))

    assert ring.between(20, 20, FEW[0]).counts.tolist() == [1]
    assert ring.between(20, 29, FEW[1]).counts.tolist() == [10]
    assert ring.between(20, 29, FEW[1]).values.tolist() == [[7]]


def test_a_slot_that_could_not_count_its_seconds_is_refused() -> None:
    with pytest.raises(ValueError, match="slots have at most 255 s, not 256"):
        Ring(1, [Level(256, 2)])


def test_gauges_are_kept_as_they_are_and_counters_as_they_grow() -> None:
    one = series()
    one.tick(START)
    for second in range(5):
        one.heard("a", "tiny", row(3, 0.5, 100 * second), START + second + 0.4)
        one.tick(START + second + 1)

    assert told(one, "a", 5) == [[3, 0.5, 0], *[[3, 0.5, 100]] * 4]


def test_models_and_the_cluster_have_sums() -> None:
    """Of gauges and of what counters grew by; of what cannot be added the mean."""
    one = series()
    one.tick(START)
    for name, model, pace in [("a", "x", 1), ("b", "x", 3), ("c", "y", 8)]:
        one.heard(name, model, row(2, pace, 10), START)
        one.heard(name, model, row(4, pace, 17), START + 0.5)
    one.tick(START + 1.1)

    assert told(one, "x", 1) == [[8, 2, 14]]
    assert told(one, "y", 1) == [[4, 8, 7]]
    assert told(one, CLUSTER, 1) == [[12, 4, 21]]


def test_a_counter_that_begins_anew_has_grown_by_what_it_says() -> None:
    """So an engine that was reset takes nothing away."""
    one = series()
    one.tick(START)
    for tokens in (100, 130, 5):
        one.heard("a", "tiny", row(tokens=tokens), START)
    one.tick(START + 1)

    assert told(one, "a", 1)[0][2] == 35


def test_who_misses_a_second_is_there_all_the_same() -> None:
    """Reports are a second apart, more or less: sums must not dip."""
    one = series()
    for second in range(SILENT_S + 1):
        one.tick(START + second)
        if second == 0:
            one.heard("a", "tiny", row(running=3), START)
    one.tick(START + SILENT_S + 3)

    running = [values[0] for values in told(one, CLUSTER, SILENT_S + 2)]
    assert running[: SILENT_S + 1] == [3] * (SILENT_S + 1)
    assert np.isnan(running[-1])


def test_what_was_counted_in_silence_is_no_rate() -> None:
    one = series()
    one.tick(START)
    one.heard("a", "tiny", row(tokens=5), START)
    one.tick(START + 60)
    one.heard("a", "tiny", row(tokens=6000), START + 60)
    one.heard("a", "tiny", row(tokens=6007), START + 60.5)
    one.tick(START + 61)

    assert told(one, "a", 1, START + 60)[0][2] == 7


def test_a_sum_is_of_those_who_know() -> None:
    """A GPU that does not tell its power takes no part in it; where none does, there is none."""
    one = series()
    one.tick(START)
    one.heard("a", "x", row(running=np.nan), START)
    one.heard("b", "x", row(running=4, pace=np.nan), START)
    one.heard("c", "y", row(running=np.nan), START)
    one.tick(START + 1)

    assert told(one, "x", 1)[0][:2] == [4, 0]
    assert np.isnan(told(one, "y", 1)[0][0])


RING_BYTES = Ring(len(COLUMNS), FEW).nbytes
COARSE_BYTES = RING_BYTES - Ring(len(COLUMNS), FEW[:1]).nbytes


def crowd(most_bytes: int, *names: str) -> Series:
    """These have come one after the other; those with a capital letter have gone at once."""
    one = series(most_bytes, FEW)
    one.tick(START)
    for at, name in enumerate(names):
        one.heard(name, "tiny", row(), START + at * 1e-3)
        if name.isupper():
            one.left(name, START + at * 1e-3)
    return one


def levels(one: Series) -> dict[str, int]:
    return {name: kept.levels for name, kept in one.rows.items()}


def test_those_that_are_gone_make_room_resolution_before_presence() -> None:
    """The one that is gone longest first; only when all have lost it, any goes as a whole."""
    room = 3 * RING_BYTES
    three, four = ("A", "B", "c"), ("A", "B", "c", "d")

    assert levels(crowd(room, *three)) == {"A": 2, "B": 2, "c": 2}
    assert levels(crowd(room + COARSE_BYTES, *four)) == {"A": 1, "B": 2, "c": 2, "d": 2}
    assert levels(crowd(room, *four)) == {"A": 1, "B": 1, "c": 2, "d": 2}
    assert levels(crowd(room, "A", "B", "c", "d", "e")) == {"c": 2, "d": 2, "e": 2}


def test_when_nobody_is_gone_all_lose_resolution_and_the_newest_is_not_kept() -> None:
    """It still counts in the sums."""
    one = crowd(3 * COARSE_BYTES, "a", "b", "c", "d")
    one.tick(START + 1.5)

    assert levels(one) == {"a": 1, "b": 1, "c": 1, "d": 0}
    assert one.sums["tiny"].levels == list(FEW)


def test_the_sums_always_stay() -> None:
    one = series(0, FEW)
    one.tick(START)
    one.heard("a", "tiny", row(running=3), START)
    one.tick(START + 1)

    assert levels(one) == {"a": 0}
    assert told(one, CLUSTER, 1)[0][0] == 3


def test_who_had_no_room_is_kept_once_another_one_is_gone() -> None:
    one = crowd(COARSE_BYTES, "a", "b")
    assert levels(one) == {"a": 1, "b": 0}
    for second in range(70):
        one.heard("b", "tiny", row(), START + second)
        one.tick(START + second)

    assert levels(one) == {"b": 1}


@pytest.mark.parametrize("many", [1, 64, 300])
def test_bytes_are_bounded_whatever_the_number_of_workers(many: int) -> None:
    """Those that are there, and those that come and go."""
    most = 40 * RING_BYTES
    one = series(most, FEW)
    for second in range(30):
        for number in range(many):
            one.heard(f"{number} at {second // 10}", "tiny", row(), START + second)
        one.tick(START + second)
        if second > 1:
            assert one.nbytes <= most + 2 * RING_BYTES  # those of the sums

    assert len([row for row in one.rows.values() if row.ring is not None]) >= min(many, 40)


def test_rows_are_forgotten_a_day_after_they_have_gone() -> None:
    one = crowd(1 << 20, "A", "b")
    for second in range(FEW[-1].span_s + 90):
        one.heard("b", "tiny", row(), START + second)
        one.tick(START + second)

    assert levels(one) == {"b": 2}


def test_who_says_nothing_for_long_is_gone() -> None:
    one = crowd(1 << 20, "a")
    for second in range(GONE_S + 3):
        one.tick(START + second)

    assert one.rows["a"].is_gone
    assert one.rows["a"].gone_at == START


def test_a_clock_that_jumps_loses_no_more_than_the_jump() -> None:
    """An hour on, nothing is made up for; an hour back, it goes on at once."""
    one = series()
    for at in (START, START + 3600, START - 3600):
        one.tick(at - 1)
        one.heard("a", "tiny", row(running=3), at)
        one.tick(at + 1.5)
        assert told(one, "a", 1, at)[0][0] == 3
