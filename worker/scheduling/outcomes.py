"""What a step came to: for each sequence what its rows say, or why it ends; for all a failure."""

import logging
from collections.abc import Iterator
from collections.abc import Sequence as Several
from typing import NamedTuple

from raylax.kernels.draws.rules import NO_RULE, StepDraws
from raylax.kernels.model import StepOutput
from raylax.proto.grammar.matcher import GrammarError
from raylax.proto.vocabulary import Delta, Fault, Finish
from raylax.worker.sampling.adjustment import forbidding
from raylax.worker.sampling.constraints import NothingLeft, check_left, only
from raylax.worker.sampling.draws import DrawResult, result, vector
from raylax.worker.sampling.pooling import StateReader
from raylax.worker.sampling.rules import PLAIN, Row, draws_of
from raylax.worker.sampling.sampler import NOTHING, NotFinite, Outcome, Sampler, Wish
from raylax.worker.scheduling.branches import Branch
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import Work

log = logging.getLogger(__name__)


def draws_for(batch: Several[Work], branches: Several[Branch] = ()) -> StepDraws | None:
    """The rules by which a model is to draw for all rows of these sequences, in plan order."""
    rows = list[Row]()
    for one, draft, wanted in asked(batch, branches):
        one.adjustment.tell(one.tokens)
        rows += [row_behind(one, draft[:ahead]) for ahead in range(wanted)]
    return draws_of(rows)


def row_behind(one: Sequence, said: list[int]) -> Row:
    """What is drawn of a sequence behind so much of a draft, with penalties for that. Where a token
    of its prompt follows there is no rule, and the logits stay as they are."""
    rule = None if one.unread > len(said) else one.rule
    return Row(rule, one.generated + len(said), one.adjustment.after(said))


def asked(
    batch: Several[Work], branches: Several[Branch]
) -> Iterator[tuple[Sequence, list[int], int]]:
    """Who has rows in a plan, behind how much of which draft, and how many, in plan order."""
    for one, _, wanted in batch:
        if wanted:
            yield one, one.draft, wanted
    for branch in branches:
        yield branch.one, branch.draft, branch.wanted


class Wanted(NamedTuple):
    """A row of the output that a sequence has."""

    one: Sequence
    row: int
    said: list[int]
    """Tokens of a draft that are before it."""
    is_drawn: bool
    """The step has its token."""

    @property
    def given(self) -> int | None:
        """The token of a prompt that stands there, whatever would be drawn; None: one is drawn."""
        prompt, at = self.one.request.prompt, len(self.one.tokens) + len(self.said)
        return prompt[at] if at < len(prompt) else None


def read_states(batch: Several[Work], reader: StateReader) -> None:
    """Read what a step has computed of those whose vector is made of more than their last row."""
    at = 0
    for one, count, _ in batch:
        if (pooled := one.pooled) is not None:
            wanted = pooled.wants(one.computed, count)
            before = at - one.computed
            tokens = range(wanted.start + before, wanted.stop + before)
            pooled.add(reader.states(tokens) if tokens else (), one.computed + count)
        at += count


def draw_rows(
    batch: Several[Work],
    output: StepOutput,
    draws: StepDraws | None,
    sampler: Sampler,
    branches: Several[Branch] = (),
) -> dict[str, list[DrawResult]]:
    """Draw for every sequence that has rows in the output, which lie there in plan order; by the
    id of its request. `draws`: the rules by which the model has drawn. What is drawn of branches,
    whose rows come behind, they are told."""
    rows = rows_wanted(batch, draws, branches)
    outcomes = outcomes_of(rows, output, sampler)
    drawn = dict[str, list[DrawResult]]()
    for one, _, wanted in batch:
        if wanted:
            first, rows = rows[:wanted], rows[wanted:]
            drawn[one.request.id] = list(verified(first, one.draft, output, outcomes))
    for branch in branches:
        first, rows = rows[: branch.wanted], rows[branch.wanted :]
        branch.drawn = list(verified(first, branch.draft, output, outcomes))
    return drawn


def rows_wanted(
    batch: Several[Work], draws: StepDraws | None, branches: Several[Branch]
) -> list[Wanted]:
    """All rows, in plan order."""
    by_model = [] if draws is None else (draws.rules["position"] != NO_RULE).tolist()
    rows = list[Wanted]()
    for one, draft, wanted in asked(batch, branches):
        for ahead in range(wanted):
            had = one.own_rule is PLAIN or (draws is not None and by_model[len(rows)])
            rows.append(Wanted(one, len(rows), draft[:ahead], had and one.unread <= ahead))
    return rows


def outcomes_of(
    rows: Several[Wanted], output: StepOutput, sampler: Sampler, logprobs: bool = True
) -> dict[int, Outcome | Exception]:
    """By row what was drawn, or what went wrong with that: each row is tried alone if all of them
    together raise. `logprobs`: with log-probabilities, for those who want them."""
    outcomes, wishes = dict[int, Outcome | Exception](), list[Wish]()
    for wanted in rows:
        try:
            if (wish := wish_of(wanted, output, logprobs)) is not None:
                wishes.append(wish)
        except Exception as error:
            outcomes[wanted.row] = error
    try:
        drawn = sampler.draw(output.logits, wishes) if wishes else []
        return outcomes | {wish.row: one for wish, one in zip(wishes, drawn, strict=True)}
    except Exception:
        return outcomes | {wish.row: drawn_alone(wish, output, sampler) for wish in wishes}


def drawn_alone(wish: Wish, output: StepOutput, sampler: Sampler) -> Outcome | Exception:
    try:
        return sampler.draw(output.logits, [wish])[0]
    except Exception as error:
        return error


def wish_of(wanted: Wanted, output: StepOutput, logprobs: bool) -> Wish | None:
    """What a sequence wants drawn of a row; None if it has all."""
    one, row, said, is_drawn = wanted
    request, top = one.request, one.request.sampling.top_logprobs if logprobs else None
    if request.embed or (is_drawn and top is None):
        return None
    if (given := wanted.given) is not None:
        return Wish(row, request, one.own_rule, NO_RULE, top_logprobs=top, token=given)
    if is_drawn:
        token = int(output.drawn[row])
        return Wish(row, request, one.own_rule, NO_RULE, top_logprobs=top, token=token)
    one.adjustment.tell(one.tokens)
    position, mask, adjustment = one.generated + len(said), None, one.adjustment
    changes = adjustment.after(said).entries if adjustment.active else NOTHING
    if one.constraints.active:
        vocab = output.logits.shape[1]
        if (forced := one.constraints.forced(one.tokens, said)) is not None:
            mask = only(forced, vocab)
            return Wish(row, request, one.own_rule, position, changes, mask, top)
        mask = one.constraints.mask(vocab, said)
        forbidden = one.constraints.forbidden(one.tokens, said, mask)
        check_left(mask, forbidden)
        if forbidden:
            changes = forbidding(changes, forbidden)
    return Wish(row, request, one.own_rule, position, changes, mask, top)


def verified(
    rows: Several[Wanted],
    draft: list[int],
    output: StepOutput,
    outcomes: dict[int, Outcome | Exception],
) -> Iterator[DrawResult]:
    """What a sequence draws from these rows of a step, one for each token of a draft and one more:
    as far as it draws what was drafted, and does not end by that."""
    for ahead, wanted in enumerate(rows):
        drawn = result_of(wanted, output, outcomes.get(wanted.row))
        if drawn.error is not None and ahead:
            return  # it ends by that in its turn, behind the tokens that it has by now
        yield drawn
        if ahead == len(rows) - 1 or drawn.token != draft[ahead]:
            return
        if wanted.given is None and drawn.token in wanted.one.request.stop_token_ids:
            return


def result_of(
    wanted: Wanted, output: StepOutput, outcome: Outcome | Exception | None
) -> DrawResult:
    """What a sequence gets of a row. Whatever goes wrong with that is its own end."""
    one, row, said, is_drawn = wanted
    try:
        if isinstance(outcome, Exception):
            raise outcome
        if one.request.embed:
            return vector(output, row, one.request.logits_of, one.pooled)
        return result(output, row, outcome, is_drawn)
    except (NotFinite, GrammarError, NothingLeft) as error:
        answer = f"after {one.generated + len(said)} tokens of the answer"
        why = f"the model has no next token for this request {answer}: {error}"
        fault = Fault.REQUEST if isinstance(error, NotFinite) else Fault.INVALID
        return DrawResult(error=why, fault=fault)
    except Exception as error:
        log.exception("a draw for %s failed", one.request.id)
        return DrawResult(error=f"the draw failed: {type(error).__name__}: {error}")


def failed(request_id: str, why: str, fault: Fault = Fault.REQUEST) -> Delta:
    """The end of a request by its own fault."""
    return Delta(request_id, finish=Finish.ERROR, error=why, fault=fault)


class StepFailed(Exception):
    """A step raised, and nothing of it counts."""

    def __init__(self, message: str, request_ids: list[str]) -> None:
        super().__init__(message)
        self.request_ids = request_ids
        """Who was alone in it, and is gone; nobody if several are to be tried alone."""
