"""What is proposed, as far as it may pay."""

import pytest

from raylax.worker.config import MOST_DRAFTED
from raylax.worker.speculation.proposals import Proposal, Speculation, worth

REPEATED = [1, 2, 3, 4] * 8


def proposed(speculation: Speculation, most: int = 99, least: float = 0.1) -> list[int]:
    one = Proposal()
    speculation.propose(one, REPEATED, most, least)
    return one.draft


def test_a_draft_ends_where_it_is_not_likely_any_more() -> None:
    """Half of them are right, as is thought at first: 0.5 ** 3 is above a tenth."""
    assert proposed(Speculation()) == [1, 2, 3]


def test_nothing_is_drafted_that_does_not_pay() -> None:
    assert proposed(Speculation(), least=0.6) == []
    assert proposed(Speculation(), least=2.0) == []


def test_a_draft_is_no_longer_than_the_answer_may_be() -> None:
    assert proposed(Speculation(), most=2) == [1, 2]
    assert proposed(Speculation(), most=0) == []
    assert proposed(Speculation(5), most=2) == [1, 2]


def test_drafts_of_a_fixed_length_are_made_whatever_they_cost() -> None:
    assert proposed(Speculation(5), least=2.0) == [1, 2, 3, 4, 1]


def test_one_draft_does_not_outlive_the_next_question() -> None:
    one, speculation = Proposal(), Speculation()
    speculation.propose(one, REPEATED, 9, 0.1)
    speculation.propose(one, [*REPEATED, 9], 9, 0.1)

    assert one.draft == []


def test_drafts_get_longer_while_they_are_right_and_end_while_they_are_wrong() -> None:
    speculation, one = Speculation(), Proposal()
    lengths = []
    for right in (*[True] * 3, *[False] * 8):
        speculation.propose(one, REPEATED, 99, 0.3)
        lengths.append(len(one.draft))
        if one.draft:
            speculation.learn(one, len(one.draft), len(one.draft) if right else 0)

    assert lengths[0] < lengths[1] < lengths[2]
    assert lengths[3:] == sorted(lengths[3:], reverse=True)
    assert lengths[-1] == 0


@pytest.mark.parametrize(
    ("likely", "least", "want"),
    [
        (1.0, 0.9, MOST_DRAFTED),
        (0.5, 0.0, MOST_DRAFTED),
        (0.5, 0.25, 2),
        (0.5, 0.26, 1),
        (0.99, 0.01, MOST_DRAFTED),
    ],
)
def test_what_is_worth_its_row(likely: float, least: float, want: int) -> None:
    assert worth(likely, least) == want
