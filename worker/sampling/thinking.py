"""Where a thought has to end: the tokens that are then said, whatever the model would."""

from collections.abc import Sequence

from raylax.proto.vocabulary import ThinkingLimit


def may_end_after(limit: ThinkingLimit, generated: int) -> bool:
    """Whether a token may be forced behind so many of an answer."""
    return 0 <= generated - len(limit.opened_by) - limit.budget < len(limit.close)


def forced_after(limit: ThinkingLimit, said: Sequence[int]) -> int | None:
    """The token that must follow an answer so far; None: any may. It follows from the answer alone,
    so a sequence that goes on elsewhere says the same (law 1)."""
    begin = len(limit.opened_by)
    if not may_end_after(limit, len(said)) or tuple(said[:begin]) != limit.opened_by:
        return None
    end = begin + limit.budget
    return None if limit.closed_by in said[begin:end] else limit.close[len(said) - end]
