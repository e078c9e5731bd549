"""Drafts token by token, by a model that says the sum of what it reads."""

from itertools import accumulate

import pytest

from raylax.proto.pages import PAGE_SIZE, pages_for
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.config import MOST_DRAFTED
from raylax.worker.scheduling.drafting.base import proposal_of
from raylax.worker.scheduling.drafting.chain import SPARE, Chain
from raylax.worker.scheduling.sequence import Sequence, ints
from tests.support.drafting import SummingModel

PAGES, VOCAB = 12, 97


def chain() -> Chain:
    return Chain(SummingModel(PAGES + 4 * SPARE, VOCAB), PAGES)


def decoding(tokens: list[int], first_page: int = 0) -> Sequence:
    """A sequence whose last token is to be computed, in pages that follow each other."""
    one = Sequence(Request("a", tuple(tokens), 100, Sampling(temperature=0.0)))
    one.computed = len(tokens) - 1
    one.pages = ints(range(first_page, first_page + pages_for(one.computed)))
    return one


def says(made: Chain, one: Sequence, count: int) -> list[int]:
    """Its next draft."""
    proposal_of(one).draft.clear()
    made.draft([(one, count)])
    return list(proposal_of(one).draft)


def right(tokens: list[int], count: int) -> list[int]:
    """By definition: each is the sum of all before it."""
    said = list(accumulate([sum(tokens) % VOCAB] * count, lambda last, _: 2 * last % VOCAB))
    return said


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 18, 31, 33, 100])
@pytest.mark.parametrize("count", [1, 5, MOST_DRAFTED])
def test_a_draft_goes_on_from_all_of_the_text(length: int, count: int) -> None:
    """However much of it has to be computed before, and wherever its last page ends."""
    tokens = [i % 7 for i in range(length)]

    assert says(chain(), decoding(tokens), count) == right(tokens, count)


def test_what_came_true_is_not_computed_again() -> None:
    """Of a draft of five three tokens are right, as far as they lie in its own page; then one step
    a token is enough."""
    made, one = chain(), decoding([1, 2, 3])
    model = made.model
    assert isinstance(model, SummingModel)
    drafted = says(made, one, 5)
    one.tokens.extend([*drafted[:3], 50])
    one.computed = len(one.tokens) - 1

    assert made.behind(one) == 0
    before = model.steps
    assert says(made, one, 4) == right(one.tokens.tolist(), 4)
    assert model.steps == before + 4


def test_pages_that_two_share_are_computed_once() -> None:
    text = [i % 5 for i in range(2 * PAGE_SIZE)]
    made, first = chain(), decoding([*text, 1, 2])
    says(made, first, 2)
    second = decoding([*text, 3, 4, 3])
    second.pages = ints([*first.pages[:2], 7])

    assert made.behind(second) == 2
    assert says(made, second, 3) == right(second.tokens.tolist(), 3)


@pytest.mark.parametrize("drafted", [1, MOST_DRAFTED])
def test_a_page_that_was_written_over_is_no_longer_known(drafted: int) -> None:
    """Whoever gets its first content again finds the engine's part of it there, and not ours: be it
    that a text was put there, or only a draft."""
    text = [i % 5 for i in range(2 * PAGE_SIZE)]
    made, first = chain(), decoding([*text, 1, 2])
    says(made, first, 1)
    other = decoding([9] * 13)
    other.pages = ints([0, 1])  # reserved for drafts
    says(made, other, drafted)
    third = decoding([*text, 3])

    assert says(made, third, 2) == right(third.tokens.tolist(), 2)


def test_a_text_longer_than_a_step_is_computed_in_several() -> None:
    """Beside others, each of which gets on in each step."""
    made = chain()
    long, short = decoding([1] * 90), decoding([2, 3], first_page=8)
    made.draft([(long, 3), (short, 3)])

    assert proposal_of(long).draft == right([1] * 90, 3)
    assert proposal_of(short).draft == right([2, 3], 3)


def test_nothing_is_drafted_beyond_what_the_model_can_read() -> None:
    made, one = chain(), decoding([1] * 40)
    made.model.longest = 40 + MOST_DRAFTED
    assert made.behind(one) == 39
    one.tokens.append(1)

    assert made.behind(one) is None
