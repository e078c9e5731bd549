"""How many tokens a model is to draft for each sequence: as many as make the most tokens a second.

A level of drafts is one more step of the model that drafts, and one more row of the step that
verifies for each sequence that takes part. It brings each of them a token with the likelihood that
all of its draft is right. So the levels pay less and less, and the first that brings fewer tokens a
second than the levels before it is left out: all of them, where drafts are dear or seldom right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from raylax.proto.vocabulary import StepTime


@dataclass(frozen=True, slots=True)
class Offer:
    """Of one sequence that decodes."""

    likely: float
    """How likely each token of its draft is right, if those before it are."""
    most: int
    """Tokens that it has room for."""
    context: int
    """Tokens in its pages."""
    before_s: float = 0.0
    """Seconds that the model that drafts needs before it can, as its share of this draft."""


def draft_lengths(
    offers: Sequence[Offer], verify: StepTime, draft: StepTime, most: int
) -> list[int]:
    """Tokens to draft for each, `most` in all. `verify`, `draft`: what steps of either model take;
    nothing is drafted before the first is known."""
    counts = [0] * len(offers)
    context = sum([offer.context for offer in offers])
    seconds, brings = verify.seconds(0, len(offers), context), float(len(offers))
    if seconds <= 0:
        return counts
    level = [(offer.likely, at) for at, offer in enumerate(offers) if offer.most > 0]
    while level and most > 0:
        level.sort(key=lambda pair: -pair[0])
        best, taken = brings / seconds, 0
        gain, cost = 0.0, draft.a
        for number, (worth, at) in enumerate(level[:most], 1):
            gain += worth
            cost += verify.c + draft.c + draft.d * offers[at].context
            cost += 0.0 if counts[at] else offers[at].before_s
            if (rate := (brings + gain) / (seconds + cost)) > best:
                best, taken, so_far = rate, number, (gain, cost)
        if not taken:
            break
        brings, seconds, most = brings + so_far[0], seconds + so_far[1], most - taken
        for _, at in level[:taken]:
            counts[at] += 1
        level = [
            (worth * offers[at].likely, at)
            for worth, at in level[:taken]
            if counts[at] < offers[at].most
        ]
    return counts
