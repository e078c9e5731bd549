"""How an engine stands, as routers and autoscaling are told."""

from raylax.proto.vocabulary import Load, Priority
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import budget_of
from raylax.worker.scheduling.sequence import DECODE

SOON_FREE = 8
"""Such a part of a step will be prefills' at least, since who decodes ends: routers would think
that a first token never comes where decodes fill the step of this moment."""


def load_of(batch: Batch, taken: int = 0, draining: bool = False) -> Load:
    """How the engine of a batch stands; `taken` and `draining` are what the batch does not know."""
    decoding = contexts = prefilling = before = streams = read = 0
    roster, classes = batch.roster, set[Priority]()
    for one in roster.running.values():
        if one.phase is DECODE:
            decoding += 1
            contexts += one.computed
            if one.announced:
                classes.add(one.request.priority)
                streams, read = streams + 1, read + one.computed
        else:
            before = before or one.computed  # of the oldest
            prefilling += one.pending
    pool, counters = roster.pool, roster.counters
    limits, times = batch.limits, batch.decider.step_time.times
    budget = budget_of(streams, read, classes, before, limits, times)
    return Load(
        running=len(roster.running),
        waiting=len(roster.waiting),
        queued_tokens=roster.waiting.tokens + prefilling,
        pages_total=pool.total,
        pages_free=pool.free,
        pages_cached=pool.cached,
        step=counters.steps,
        preemptions=counters.preemptions,
        prompt_tokens=counters.prompt_tokens,
        cached_tokens=counters.cached_tokens,
        generated_tokens=counters.generated_tokens,
        ended=counters.ended,
        ended_tokens=counters.ended_tokens,
        drafts=counters.drafts,
        drafted_tokens=counters.drafted_tokens,
        accepted_tokens=counters.accepted_tokens,
        decoding=decoding,
        context_tokens=contexts,
        step_tokens=limits.tokens,
        prefill_room=min(budget.tokens, max(limits.tokens - decoding, limits.tokens // SOON_FREE)),
        taken=taken,
        pace=times.step,
        draining=draining,
    )
