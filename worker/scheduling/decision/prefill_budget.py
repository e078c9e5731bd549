"""How many prefill tokens a step may hold beside those who decode: as many as keep their next
token within the target between two tokens.

A long prompt computed by full steps holds everybody's stream up for as long as those take. In
smaller chunks it costs the streams a part of each step, and its own first token comes later by what
the decodes take of those steps. It never starves: where decodes alone are near the target, or
beyond it, prefills have a part of the step all the same.
"""

from raylax.proto.pages import PAGE_SIZE
from raylax.proto.vocabulary import StepTime

LEAST_PART = 0.125
"""Of a step's time is the prefills', whatever the target."""


def prefill_budget(
    time: StepTime, decoding: int, context: int, target_s: float | None, most: int
) -> int:
    """Tokens, `most` at most. `context` tokens lie in the pages of the `decoding` sequences;
    `target_s`: seconds that a step may take; None: as long as it likes. A page's tokens at least,
    as far as there are so many. All of them where nobody decodes, and as long as it is not known
    what a token takes."""
    if target_s is None or not decoding or not time.b:
        return most
    others = time.seconds(0, decoding, context)
    left = max(target_s - others, others * LEAST_PART / (1 - LEAST_PART))
    return min(most, max(PAGE_SIZE, int(left / time.b)))
