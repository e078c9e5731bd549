"""What the next step computes: a plain function of a snapshot (law 5).

Decodes first, one token each, so that streams keep their pace; then prefills already begun; then
new ones in order of service, whole or in chunks, while tokens, seats and pages suffice. When the
decodes need more pages than there are, the sequence admitted last, of the lowest class, gives its
pages back and is computed again later (its tokens stay the same: law 1).

Prefills fill a step as far as a target between two tokens lets them (`prefill_budget.py`); one step
has none, in which it is learned what decodes take alone.

Where steps are chunked, decodes and prefills take turns: a prefill that comes waits for one step
of the decodes, and those for one chunk.

Several tenants share seats, pages and the tokens of a step (`division.py`): so it is within each of
them. Who waits, and whose tenant holds less than its due, does not wait for another's to end
(`giving_way.py`), nor for all the rows of a long step (`short_steps.py`). What is left of a step
may verify drafts (`drafts.py`).

After a step that failed, each of its sequences is stepped alone, until it is known who is to blame.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.admission import Admission
from raylax.worker.scheduling.decision.allowance import Allowed
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.division import ALONE, Division, divided
from raylax.worker.scheduling.decision.drafts import with_drafts
from raylax.worker.scheduling.decision.giving_way import giving_way, pages, pending, sums
from raylax.worker.scheduling.decision.prefill_budget import Budget, prefill_budget, within_reach
from raylax.worker.scheduling.decision.short_steps import Piece, short_step
from raylax.worker.scheduling.decision.targets import NO_TARGETS, Targets
from raylax.worker.scheduling.pace.step_time import NOTHING_KNOWN, Times
from raylax.worker.scheduling.sequence import DECODE, PREFILL
from raylax.worker.speculation.row_cost import weighed_rows

NOTHING_SHORT = Allowed()


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What a step holds at most."""

    tokens: int
    """Of one step: at least one for each sequence, so that every decode has its token."""
    sequences: int
    drafted: int = 0
    """Tokens of drafts."""
    chunked: bool = False
    """Whether a step has decodes or prefills, and never both."""
    tile_rows: int = 1
    """Rows that are computed together."""
    itl_s: Targets = NO_TARGETS
    """How long one with decodes and prefills may take, for each class that decodes."""

    def __post_init__(self) -> None:
        if not 1 <= self.sequences <= self.tokens:
            raise ValueError(
                f"a step must hold a token for each sequence, found {self.tokens} tokens "
                f"for {self.sequences} sequences"
            )


@dataclass(slots=True)
class Decision:
    """What the next step computes: `steps` are sequences with their numbers of tokens, in the order
    of the batch. Who is admitted has a step, too."""

    steps: list[tuple[str, int]] = field(default_factory=list)
    admit: list[str] = field(default_factory=list)
    preempt: list[str] = field(default_factory=list)
    """Nothing else is decided then: how many pages really come back shows when they have."""
    for_others: bool = False
    """Those are preempted for tenants below their due, not since pages ran short."""
    passed: list[str] = field(default_factory=list)
    """Who waits on since it did not fit, while others behind it are admitted."""
    short: bool = False
    """Others than those in it were left out, for this step."""
    budget: Budget | None = field(default=None, compare=False)
    """What its prefills were allowed: why it is what it is. None: nothing else is decided."""


def schedule(
    running: Sequence[Candidate],
    waiting: Iterable[Candidate],
    available: int,
    limits: StepLimits,
    division: Division = ALONE,
    allowed: Allowed = NOTHING_SHORT,
    times: Times = NOTHING_KNOWN,
    decodes_turn: bool = False,
) -> Decision:
    """Decide. `running` are in order of admission, `waiting` in order of service, looked at only as
    far as it is served; `available`: pages that can be had; `times`: what steps take;
    `decodes_turn`: whose the step is, where decodes and prefills share none and both want it."""
    for one in running:
        if one.suspect:  # and so it has its pages
            return Decision([(one.id, min(one.pending, limits.tokens))])
    decodes = [one for one in running if one.phase is DECODE]
    needed = sum(one.pages_to_reach(one.computed + one.pending) for one in decodes)
    if needed > available:
        return Decision(preempt=[for_decodes(running, division).id])
    begun = [one for one in running if one.phase is PREFILL]
    rows, streams = len(decodes), [one for one in decodes if one.speaks]
    context, classes = sum([one.computed for one in streams]), {one.priority for one in streams}
    beside = len(streams), context, classes
    budget = budget_of(*beside, begun[0].computed if begun else 0, limits, times)
    if streams and not times.decoded and limits.itl_s.bind(classes):
        budget = Budget(0)
    tokens = min(limits.tokens, rows + budget.tokens)
    admission = Admission(
        running, limits.sequences, available - needed, tokens, division, allowed.giving_way
    )
    admission.admit(waiting)
    if admission.give_way:
        return Decision(preempt=admission.give_way, for_others=bool(division))
    prefills = [*begun, *admission.admitted]
    if prefills and not begun and prefills[0].computed:
        budget = budget_of(*beside, prefills[0].computed, limits, times)
        tokens = min(tokens, rows + budget.tokens)
    if limits.chunked and decodes and prefills:
        decodes, prefills = (decodes, []) if decodes_turn else ([], prefills)
    step = list(shared_out([*decodes, *prefills], tokens, division))
    short = list[Piece]()
    if division and allowed.short_step and not limits.chunked:
        short = short_step(step, prefills, division.shares, tokens)
    step = short or step
    if any(one.drafted for one in decodes):
        left = min(limits.drafted, limits.tokens - sum([count for _, count in step]))
        step = with_drafts(step, times.step, left, admission.pages, limits.tile_rows)
    decision = decision_of(step, admission.admitted, bool(short))
    decision.passed = admission.passed if decision.admit else []
    decision.budget = budget
    return decision


def budget_of(
    decodes: int, context: int, classes: Collection[Priority], before: int,
    limits: StepLimits, times: Times,
) -> Budget:  # fmt: skip
    """What prefills may have of a step beside so many of these classes that decode, with so many
    tokens in their pages; so many tokens stand `before` the first ones. Steps of prefills alone are
    as full as any."""
    if not decodes or not limits.itl_s.bind(classes):
        return Budget(limits.tokens)
    quiet_s = times.step.seconds(0, weighed_rows(decodes, limits.tile_rows), context)
    target_s = limits.itl_s.for_step(quiet_s, classes)
    most, read_s = within_reach(limits.tokens, times.tried), times.step.d * before
    size = most, limits.tile_rows
    return prefill_budget(quiet_s, times.prefill, decodes, before, target_s, *size, read_s)


def for_decodes(running: Sequence[Candidate], division: Division) -> Candidate:
    """Who gives its pages to the decodes."""
    if division and (one := next(giving_way(running, division.pages, pages), None)) is not None:
        return one
    return max(reversed(running), key=lambda one: one.priority)


def shared_out(order: Sequence[Candidate], tokens: int, division: Division) -> Iterator[Piece]:
    """The tokens of a step: each tenant's part goes to those of its sequences that come first."""
    wanted = sums(order, pending) if division else {one.tenant: tokens for one in order[:1]}
    left = divided(tokens, wanted, division.shares)
    for one in order:
        if count := min(one.pending, left[one.tenant]):
            left[one.tenant] -= count
            yield one, count


def decision_of(step: Sequence[Piece], admitted: Sequence[Candidate], short: bool) -> Decision:
    """The decision for a step: of those who could be admitted, who has no part in it waits on."""
    steps = [(one.id, count) for one, count in step]
    taken = {id for id, _ in steps[-len(admitted) :]} if admitted else ()
    return Decision(steps, [one.id for one in admitted if one.id in taken], short=short)
