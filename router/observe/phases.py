"""What an engine does of an attempt at a time: for spans, and for traces."""

from collections.abc import Iterator
from typing import NamedTuple

from raylax.router.observe.timeline import Attempt


class Phase(NamedTuple):
    """What an engine does of an attempt at a time, as its router has heard of it: an engine needs
    no exporter, and of one that is lost that is all that is left."""

    name: str
    from_s: float
    to_s: float
    attributes: dict[str, int]


def phases_of(attempt: Attempt) -> Iterator[Phase]:
    """As far as it has come."""
    assert attempt.to_s is not None
    began = attempt.to_s if attempt.began_s is None else attempt.began_s
    yield Phase("engine.queue", attempt.from_s, began, {})
    if attempt.began_s is None:
        return
    first = attempt.to_s if attempt.first_token_s is None else attempt.first_token_s
    prefill = {"raylax.tokens": attempt.known_tokens, "raylax.cached_tokens": attempt.cached_tokens}
    yield Phase("engine.prefill", began, first, prefill)
    if attempt.first_token_s is not None:
        decode = {
            "raylax.tokens": attempt.generated_tokens,
            "raylax.drafts": attempt.drafts,
            "raylax.drafted_tokens": attempt.drafted_tokens,
            "raylax.accepted_tokens": attempt.accepted_tokens,
        }
        yield Phase("engine.decode", first, attempt.to_s, decode)
