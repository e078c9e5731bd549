"""How many drafted tokens a step verifies: as many as make the most tokens a second.

A row more costs what a sequence more costs, and brings a token with the likelihood that it is
right. So drafted tokens are taken, the likeliest first, as long as the next one brings more than
the step brings in the same time without it; that is none where rows are dear, in large batches, or
where drafts are seldom right.
"""

from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace

from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.decision.short_steps import Piece
from raylax.worker.scheduling.sequence import DECODE


def least_likely(time: StepTime, decoding: int, context: int) -> float:
    """The least likelihood that pays, in a step that only decodes; above 1 where nothing does, or
    nothing is known yet of what a row costs."""
    seconds = time.seconds(0, decoding, context)
    return time.c * decoding / seconds if seconds > 0 else 2.0


def with_drafts(step: Sequence[Piece], time: StepTime, tokens: int, pages: int) -> list[Piece]:
    """The same step, in which sequences that decode verify some of their drafts, too: so many
    tokens at most, and so many pages. What is certain (1.0) is verified whatever it costs."""
    decodes = [(at, one) for at, (one, _) in enumerate(step) if one.phase is DECODE]
    offers = [(-one.likely, at, one.likely) for at, one in decodes if one.drafted]
    if not offers:
        return list(step)
    context = sum([one.computed for _, one in decodes])
    prefill = sum([count for _, count in step]) - len(decodes)
    seconds, brings = time.seconds(prefill, len(decodes), context), float(len(decodes))
    counts = [count for _, count in step]
    heapify(offers)
    while offers and tokens > 0:
        worth, at, likely = offers[0]
        one = step[at][0]
        reach = one.computed + counts[at] + 1
        page = one.pages_to_reach(reach) - one.pages_to_reach(reach - 1)
        if likely < 1.0 and -worth * seconds <= brings * time.c:
            break
        if page > pages:
            heappop(offers)
            continue
        counts[at], brings, seconds = counts[at] + 1, brings - worth, seconds + time.c
        tokens, pages = tokens - 1, pages - page
        if counts[at] - one.pending < one.drafted:
            heapreplace(offers, (worth * likely, at, likely))
        else:
            heappop(offers)
    return [(one, count) for (one, _), count in zip(step, counts, strict=True)]
