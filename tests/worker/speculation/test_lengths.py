"""How many tokens are drafted: a table, and what every answer must satisfy."""

import pytest

from raylax.proto.vocabulary import StepTime
from raylax.worker.speculation.lengths import Offer, draft_lengths

VERIFY, DRAFT = StepTime(a=10.0, c=0.1), StepTime(a=1.0, c=0.01)


def lengths(*likely: float, verify: StepTime = VERIFY, draft: StepTime = DRAFT) -> list[int]:
    return draft_lengths([Offer(each, 50, 0) for each in likely], verify, draft, 16)


@pytest.mark.parametrize(
    ("likely", "want"),
    [((0.0,), [0]), ((0.05,), [0]), ((1.0,), [16]), ((1.0, 0.0), [16, 0]), ((), [])],
)
def test_what_is_certain_is_drafted_and_what_is_wrong_is_not(
    likely: tuple[float, ...], want: list[int]
) -> None:
    assert lengths(*likely) == want


def test_it_makes_the_most_tokens_a_second() -> None:
    """Of one sequence: as many as the best of all lengths, by the definition of speed."""
    for likely in (0.2, 0.5, 0.7, 0.9):

        def speed(length: int, likely: float = likely) -> float:
            tokens = sum(likely**i for i in range(length + 1))
            return tokens / (10.1 + length * (1.0 + 0.01 + 0.1))

        assert lengths(likely) == [max(range(17), key=speed)]


def test_a_dear_model_drafts_less() -> None:
    assert lengths(0.8, draft=StepTime(a=3.0)) < lengths(0.8)
    assert lengths(0.8, draft=StepTime(a=9.0)) == [0]


def test_nothing_is_drafted_where_rows_are_dear() -> None:
    """As in large batches."""
    assert lengths(*[0.5] * 8, verify=StepTime(a=1.0, c=5.0)) == [0] * 8


def test_a_step_holds_so_many_and_an_answer_too() -> None:
    assert sum(lengths(*[0.95] * 10)) <= 16
    assert draft_lengths([Offer(1.0, 3, 0)], VERIFY, DRAFT, 16) == [3]
    assert draft_lengths([Offer(1.0, 0, 0)], VERIFY, DRAFT, 16) == [0]


def test_work_before_the_first_token_counts() -> None:
    near, far = Offer(0.5, 9, 0), Offer(0.5, 9, 0, before_s=50.0)

    assert draft_lengths([near, far], VERIFY, DRAFT, 16)[1] == 0
    assert draft_lengths([near, far], VERIFY, DRAFT, 16)[0] > 0


def test_nothing_is_drafted_before_steps_are_known() -> None:
    assert draft_lengths([Offer(1.0, 9, 0)], StepTime(), DRAFT, 16) == [0]


def test_levels_fill_a_tile_up_rather_than_begin_the_next() -> None:
    """Where a token of a draft costs next to nothing itself."""
    cheap = StepTime(a=1e-6)
    one = draft_lengths([Offer(0.85, 50, 0)], StepTime(a=10.0, c=1.0), cheap, 16, tile=8)
    two = draft_lengths([Offer(0.85, 50, 0)] * 2, StepTime(a=10.0, c=1.0), cheap, 16, tile=8)

    assert one == [7]
    assert sum(two) == 6
