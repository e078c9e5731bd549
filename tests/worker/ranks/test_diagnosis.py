"""Who keeps the others waiting: a table."""

import pytest

from raylax.worker.ranks.diagnosis import RankSample, verdict
from raylax.worker.ranks.rank import RankPosition

LIMIT_S = 3.0


def at(
    rank: int, step: int, meeting: int, still_s: float = 0.0, silent_s: float = 0.0
) -> RankSample:
    """A rank of four, two shards in each of two stages, in a step."""
    return RankSample(rank, rank // 2, RankPosition(step, meeting, True), still_s, silent_s)


@pytest.mark.parametrize(
    "ranks",
    [
        [at(0, 5, 3), at(1, 5, 3)],
        [at(0, 5, 3, 9), at(1, 5, 3, 9)],  # all compute
        [at(0, 5, 4), at(1, 5, 3, 2)],  # it may come yet
        [at(0, 5, 9, 9), at(1, 5, 9, 9), at(2, 5, 0, 9), at(3, 5, 0, 9)],  # stages wait by turns
        [at(0, 6, 9, 9), at(1, 6, 9, 9), at(2, 5, 4, 9), at(3, 5, 4, 9)],  # or fall behind
    ],
)
def test_nobody_is_blamed_for_being_slow(ranks: list[RankSample]) -> None:
    assert verdict(ranks, LIMIT_S) is None


@pytest.mark.parametrize(
    ("ranks", "blamed", "words"),
    [
        (
            [at(0, 5, 4, 4), at(1, 5, 3, 4)],
            1,
            "stopped in step 5 before allreduce 4; the others have waited 4.0 s",
        ),
        (
            [at(0, 6, 0, 4), at(1, 5, 8, 4)],
            1,
            "stopped in step 5 before allreduce 9; the others have waited 4.0 s",
        ),
        (
            [at(0, 6, 0), at(1, 6, 0), at(2, 5, 0, 4), at(3, 6, 0)],
            2,
            "stopped in step 5 before allreduce 1; the others have waited 4.0 s",
        ),
        (
            [at(0, 6, 9, 9), at(1, 6, 9, 9), at(2, 6, 0, 9), RankSample(3, 1, RankPosition(5), 4)],
            3,
            "stopped after step 5; the others have waited 4.0 s",
        ),
        (
            [RankSample(0, 0, RankPosition(6, None, True)), RankSample(1, 1, RankPosition(5), 4)],
            1,
            "stopped after step 5; the others have waited 4.0 s",
        ),
        (
            [at(0, 5, 4), at(1, 5, 4, 4, silent_s=3.5)],
            1,
            "has given no sign for 3.5 s, in step 5 before allreduce 5",
        ),
        (
            [RankSample(0, 0, RankPosition(7)), RankSample(1, 0, RankPosition(7), 100, 3.5)],
            1,
            "has given no sign for 3.5 s, after step 7",
        ),
    ],
)
def test_who_is_behind_and_does_not_move_is_named(
    ranks: list[RankSample], blamed: int, words: str
) -> None:
    assert verdict(ranks, LIMIT_S) == (blamed, words)
