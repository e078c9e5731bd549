"""Looking up what a tenant was answered before."""

import pytest

from raylax.worker.speculation.ngrams import NGrams
from raylax.worker.speculation.proposals import Proposal, Speculation
from raylax.worker.speculation.recent import TENANTS, TEXTS, RecentTexts, Text

ANSWER = [11, 12, 13, 14, 15, 16, 17, 18, 19]


def asked(speculation: Speculation, tenant: str | None, tokens: list[int]) -> Proposal:
    """A sequence of these tokens, for which something was proposed."""
    one = Proposal(tenant=tenant)
    speculation.propose(one, tokens, 4, 0.1)
    return one


def test_what_followed_in_another_text_may_follow_here() -> None:
    speculation = Speculation()
    asked(speculation, "a", [1, 2, *ANSWER])

    assert asked(speculation, "a", [3, 11, 12, 13]).draft == [14, 15, 16]


@pytest.mark.parametrize("tenant", ["b", None])
def test_nobody_looks_into_the_texts_of_others(tenant: str | None) -> None:
    speculation = Speculation()
    asked(speculation, "a", [1, 2, *ANSWER])

    assert asked(speculation, tenant, [3, 11, 12, 13]).draft == []


def test_it_goes_on_where_it_was_and_looks_anew_where_that_was_wrong() -> None:
    speculation = Speculation()
    asked(speculation, "a", [1, 2, *ANSWER])
    asked(speculation, "a", [7, 7, 7, 30, 31, 32, 33, 34])
    one, text = Proposal(tenant="a"), [3, 11, 12, 13]
    speculation.propose(one, text, 4, 0.1)
    text += [14, 15]
    speculation.propose(one, text, 4, 0.1)
    assert one.draft[:2] == [16, 17] and one.elsewhere is not None and one.elsewhere.length == 5
    text += [30, 31, 32]
    speculation.propose(one, text, 4, 0.1)

    assert one.draft[:2] == [33, 34]


def test_its_own_text_comes_first() -> None:
    speculation = Speculation()
    asked(speculation, "a", [1, 2, *ANSWER])

    assert asked(speculation, "a", [11, 12, 13, 50, 51, 11, 12, 13]).draft[:2] == [50, 51]


def test_few_texts_of_few_tenants_are_kept() -> None:
    recent = RecentTexts()
    for tenant in range(TENANTS + 3):
        for number in range(TEXTS + 2):
            ngrams, tokens = NGrams(), [number, 1, 2, 3]
            ngrams.tell(tokens)
            recent.remember(str(tenant), Text(ngrams, tokens))
    own = NGrams()
    own.tell([0, 1, 2])

    assert len(recent._texts) == TENANTS and max(map(len, recent._texts.values())) == TEXTS
    assert recent.find("0", own, 3) is None
    assert recent.find(str(TENANTS), NGrams(), 0) is None
