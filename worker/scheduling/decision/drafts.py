"""How many drafted tokens a step verifies: as many as make the most tokens a second.

A row more costs what a sequence more costs, more where it begins a tile, less where it fills one up
(`row_cost.py`), and brings a token with the likelihood that it is right. So drafted tokens are
taken, the likeliest first, and of all numbers of them the one with which the step brings the most
in its time; that is none where rows are dear, in large batches, or where drafts are seldom right.
"""

import math
from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace

from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.decision.short_steps import Piece
from raylax.worker.scheduling.sequence import DECODE
from raylax.worker.speculation.row_cost import IN_TILE, weighed_rows


def least_likely(time: StepTime, decoding: int, context: int, tile: int = 1) -> float:
    """The least likelihood that can pay, in a step that only decodes: of a row that fills a tile
    up. Above 1 where nothing does, or nothing is known yet of what a row costs."""
    seconds = time.seconds(0, weighed_rows(decoding, tile), context)
    each = time.c * (IN_TILE if tile > 1 else 1.0)
    return each * decoding / seconds if seconds > 0 else 2.0


def with_drafts(
    step: Sequence[Piece], time: StepTime, tokens: int, pages: int, tile: int = 1
) -> list[Piece]:
    """The same step, in which sequences that decode verify some of their drafts, too: so many
    tokens at most, and so many pages. What is certain (1.0) is verified whatever it costs. Rows are
    computed `tile` at a time."""
    decodes = [(at, one) for at, (one, _) in enumerate(step) if one.phase is DECODE]
    offers = [(-one.likely, at, one.likely) for at, one in decodes if one.drafted]
    if not offers:
        return list(step)
    context, counts = sum([one.computed for _, one in decodes]), [count for _, count in step]
    rows, brings = len(decodes), float(len(decodes))
    rest = time.seconds(sum(counts) - rows, 0, context)
    best, pays = brings / (rest + time.c * weighed_rows(rows, tile) or 1.0), list(counts)
    heapify(offers)
    while offers and tokens > 0:
        worth, at, likely = offers[0]
        one = step[at][0]
        reach = one.computed + counts[at] + 1
        page = one.pages_to_reach(reach) - one.pages_to_reach(reach - 1)
        if page > pages:
            heappop(offers)
            continue
        counts[at], brings, rows = counts[at] + 1, brings - worth, rows + 1
        tokens, pages = tokens - 1, pages - page
        rate = brings / (rest + time.c * weighed_rows(rows, tile) or math.inf)
        if likely == 1.0 or rate > best:
            best, pays = rate, list(counts)
        if counts[at] - one.pending < one.drafted:
            heapreplace(offers, (worth * likely, at, likely))
        else:
            heappop(offers)
    return [(one, count) for (one, _), count in zip(step, pays, strict=True)]
