"""What a step came to: for each sequence what its rows say, or why it ends; for all a failure."""

import logging
from collections.abc import Iterator
from collections.abc import Sequence as Several

from raylax.kernels.draws.rules import NO_RULE, StepDraws
from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Fault, Finish
from raylax.worker.sampling.draws import DrawResult, draw
from raylax.worker.sampling.rules import Row, draws_of
from raylax.worker.sampling.sampler import NotFinite
from raylax.worker.scheduling.sequence import Sequence, ints
from raylax.worker.scheduling.step_plan import Work

log = logging.getLogger(__name__)


def draws_for(batch: Several[Work]) -> StepDraws | None:
    """The rules by which a model is to draw for these sequences, in plan order."""
    rows = list[Row]()
    for one, _, wanted in batch:
        if wanted:
            one.adjustment.tell(one.tokens)
            assert wanted == 1, "who draws by itself is given no drafts"
            rows.append(Row(one.rule, one.generated, one.adjustment))
    return draws_of(rows)


def draw_rows(
    batch: Several[Work], output: StepOutput, draws: StepDraws | None
) -> dict[str, list[DrawResult]]:
    """Draw for every sequence that has rows in the output, which lie there in plan order; by the
    id of its request. `draws`: the rules by which the model has drawn."""
    drawn, first = dict[str, list[DrawResult]](), 0
    is_drawn = [] if draws is None else (draws.rules["position"] != NO_RULE).tolist()
    for one, _, wanted in batch:
        if wanted == 1:
            had = draws is not None and is_drawn[first]
            drawn[one.request.id] = [draw_for(one, output, first, 0, had)]
        elif wanted:
            drawn[one.request.id] = list(verified(one, output, first, wanted - 1))
        first += wanted
    return drawn


def verified(one: Sequence, output: StepOutput, row: int, drafted: int) -> Iterator[DrawResult]:
    """What a sequence draws from its rows of a step, one for each token of its draft and one more:
    as far as it draws what was drafted, and does not end by that."""
    for ahead in range(drafted + 1):
        drawn = draw_for(one, output, row + ahead, ahead, False)
        if drawn.error is not None and ahead:
            return  # it ends by that in its turn, behind the tokens that it has by now
        yield drawn
        if ahead == drafted or drawn.token != one.draft[ahead]:
            return
        if drawn.token in one.request.stop_token_ids:
            return


def draw_for(one: Sequence, output: StepOutput, row: int, ahead: int, is_drawn: bool) -> DrawResult:
    """What a sequence gets of a row, if so many tokens of its draft were drawn before. Whatever
    goes wrong with that is its own end."""
    try:
        remembers = ahead and one.adjustment.remembers
        one.adjustment.tell(one.tokens + ints(one.draft[:ahead]) if remembers else one.tokens)
        position = one.generated + ahead
        return draw(one.request, position, one.adjustment, output, row, is_drawn)
    except NotFinite as error:
        answer = f"after {one.generated + ahead} tokens of the answer"
        return DrawResult(error=f"the model has no next token for this request {answer}: {error}")
    except Exception as error:
        log.exception("a draw for %s failed", one.request.id)
        return DrawResult(error=f"the draw failed: {type(error).__name__}: {error}")


def failed(request_id: str, why: str) -> Delta:
    """The end of a request by its own fault."""
    return Delta(request_id, finish=Finish.ERROR, error=why, fault=Fault.REQUEST)


class StepFailed(Exception):
    """A step raised, and nothing of it counts."""

    def __init__(self, message: str, request_ids: list[str]) -> None:
        super().__init__(message)
        self.request_ids = request_ids
        """Who was alone in it, and is gone; nobody if several are to be tried alone."""
