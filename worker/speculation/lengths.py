"""How many tokens a model is to draft for each sequence: as many as make the most tokens a second.

A level of drafts is one more step of the model that drafts, and one more row of the step that
verifies for each sequence that takes part. It brings each of them a token with the likelihood that
all of its draft is right. So the levels pay less and less, and the first that brings fewer tokens a
second than the levels before it is left out: all of them, where drafts are dear or seldom right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from raylax.proto.vocabulary import StepTime
from raylax.worker.speculation.row_cost import weighed_rows


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
    offers: Sequence[Offer], verify: StepTime, draft: StepTime, most: int, tile: int = 1
) -> list[int]:
    """Tokens to draft for each, `most` in all. `verify`, `draft`: what steps of either model take;
    nothing is drafted before the first is known. `tile`: rows that the first computes together."""
    counts = [0] * len(offers)
    context = sum([offer.context for offer in offers])
    rows, brings = len(offers), float(len(offers))
    seconds = verify.seconds(0, weighed_rows(rows, tile), context)
    if seconds <= 0:
        return counts
    level = [(offer.likely, at) for at, offer in enumerate(offers) if offer.most > 0]
    while level and most > 0:
        level.sort(key=lambda pair: -pair[0])
        best, taken = brings / seconds, 0
        gain, drafting, so_far = 0.0, draft.a, (0.0, 0.0)
        begun = weighed_rows(rows, tile)
        for number, (worth, at) in enumerate(level[:most], 1):
            gain += worth
            drafting += draft.c + draft.d * offers[at].context
            drafting += 0.0 if counts[at] else offers[at].before_s
            cost = drafting + verify.c * (weighed_rows(rows + number, tile) - begun)
            if (rate := (brings + gain) / (seconds + cost)) > best:
                best, taken, so_far = rate, number, (gain, cost)
        if not taken:
            break
        brings, seconds, most = brings + so_far[0], seconds + so_far[1], most - taken
        rows += taken
        for _, at in level[:taken]:
            counts[at] += 1
        level = [
            (worth * offers[at].likely, at)
            for worth, at in level[:taken]
            if counts[at] < offers[at].most
        ]
    return counts
