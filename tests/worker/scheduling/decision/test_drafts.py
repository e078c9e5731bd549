"""How many drafted tokens a step verifies: a table."""

import pytest

from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.drafts import least_likely, with_drafts
from raylax.worker.scheduling.sequence import Phase
from raylax.worker.speculation.row_cost import IN_TILE, weighed_rows

CHEAP = StepTime(a=10.0, b=0.5, c=1.0, d=0.0)
"""A row more costs a tenth."""
DEAR = StepTime(a=1.0, b=1.0, c=1.0, d=0.0)


def decode(id: str, drafted: int = 0, likely: float = 0.0, computed: int = 20) -> Candidate:
    pages = -(-(computed + 1) // 16)
    one = Candidate(id, Phase.DECODE, 1, computed, pages)
    return one._replace(drafted=drafted, likely=likely)


def counts(
    *step: Candidate,
    time: StepTime = CHEAP,
    tokens: int = 99,
    pages: int = 99,
    tile: int = 1,
) -> list[int]:
    pieces = [(one, one.pending) for one in step]
    return [n for _, n in with_drafts(pieces, time, tokens, pages, tile)]


@pytest.mark.parametrize(
    ("likely", "time", "want"),
    [
        (0.9, CHEAP, 9),
        (0.5, CHEAP, 3),
        (0.09, CHEAP, 1),
        (0.5, DEAR, 1),
        (0.9, DEAR, 4),
        (0.9, StepTime(), 1),
        (1.0, DEAR, 9),
        (1.0, StepTime(), 9),
    ],
)
def test_drafts_are_as_long_as_they_pay(likely: float, time: StepTime, want: int) -> None:
    assert counts(decode("a", 8, likely), time=time) == [want]


@pytest.mark.parametrize("tile", [1, 4, 8])
@pytest.mark.parametrize("likely", [0.3, 0.6, 0.8, 0.95, 0.99])
def test_they_are_of_the_length_that_makes_the_most_tokens_a_second(
    likely: float, tile: int
) -> None:
    """Found by trying all of them."""

    def rate(drafted: int) -> float:
        tokens = sum(likely**i for i in range(drafted + 1))
        return tokens / CHEAP.seconds(0, weighed_rows(1 + drafted, tile), 20)

    assert counts(decode("a", 16, likely), tile=tile) == [1 + max(range(17), key=rate)]


def test_they_fill_a_tile_up_rather_than_begin_the_next() -> None:
    """A row that begins one costs as much as many that fill it up."""
    assert counts(decode("a", 16, 0.85), tile=8) == [8]
    assert counts(decode("a", 16, 0.99), tile=8) == [16]
    assert counts(*[decode(f"{i}", 4, 0.3) for i in range(8)], tile=8) == [1] * 8
    assert sum(counts(*[decode(f"{i}", 4, 0.5) for i in range(6)], tile=8)) == 8


def test_the_likeliest_tokens_come_first() -> None:
    some = [decode("a", 4, 0.4), decode("b", 4, 0.9), decode("c")]
    assert counts(*some, tokens=3) == [1, 4, 1]
    assert counts(*some, tokens=0) == [1, 1, 1]


def test_many_who_decode_leave_no_time_for_unlikely_ones() -> None:
    """A batch brings a token for each row as it is."""
    assert counts(decode("a", 4, 0.5), *[decode(f"{i}") for i in range(40)])[0] == 1
    assert counts(decode("a", 4, 0.9), *[decode(f"{i}") for i in range(40)])[0] > 1


def test_drafts_take_no_pages_that_are_not_there() -> None:
    """The second page ends behind eleven more tokens."""
    assert counts(decode("a", 16, 1.0), pages=0) == [12]
    assert counts(decode("a", 16, 1.0), pages=1) == [17]
    assert counts(decode("a", 16, 1.0, 31), decode("b", 4, 1.0), pages=0) == [1, 5]


def test_a_prefill_has_no_draft() -> None:
    chunk = Candidate("p", Phase.PREFILL, 40, 0, 3, drafted=4, likely=1.0)
    assert counts(chunk, decode("a", 2, 1.0)) == [40, 3]


def test_the_least_that_pays() -> None:
    """What a row costs, in what a step brings in that time."""
    assert least_likely(CHEAP, 1, 20) == pytest.approx(1 / 11)
    assert least_likely(CHEAP, 90, 20) == pytest.approx(0.9)
    one = CHEAP.seconds(0, weighed_rows(1, 8), 20)
    assert least_likely(CHEAP, 1, 20, tile=8) == pytest.approx(IN_TILE / one)
    assert least_likely(StepTime(), 1, 20) > 1


@pytest.mark.parametrize("prefill", [1, 7, 512])
def test_beside_a_prefill_whose_tokens_are_cheap_drafts_are_as_long_as_they_pay(
    prefill: int,
) -> None:
    """A step takes what it takes, and never less than nothing: likely tokens are verified, and
    unlikely ones are not."""
    chunk = Candidate("p", Phase.PREFILL, prefill, 0, 3)
    cheap = StepTime(a=0.1, b=1e-3, c=1.0)

    assert counts(chunk, decode("a", 7, 0.99), time=cheap, tile=8) == [prefill, 8]
    assert counts(chunk, decode("a", 7, 1e-3), time=cheap, tile=8) == [prefill, 1]
