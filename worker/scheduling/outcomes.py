"""What a step came to: for each sequence what its rows say, or why it ends; for all a failure."""

import logging
from collections.abc import Sequence as Several

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Fault, Finish
from raylax.worker.sampling.draws import DrawResult, draw
from raylax.worker.sampling.sampler import NotFinite
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import Work

log = logging.getLogger(__name__)


def draw_rows(batch: Several[Work], output: StepOutput) -> dict[str, DrawResult]:
    """Draw for every sequence that has rows in the output, which lie there in plan order; by the
    id of its request."""
    drawn, first = dict[str, DrawResult](), 0
    for one, _, wanted in batch:
        if wanted:
            first += wanted
            drawn[one.request.id] = draw_for(one, output, first - 1)
    return drawn


def draw_for(one: Sequence, output: StepOutput, row: int) -> DrawResult:
    """What a sequence gets of its row. Whatever goes wrong with that is its own end."""
    try:
        one.adjustment.tell(one.tokens)
        return draw(one.request, one.generated, one.adjustment, output, row)
    except NotFinite as error:
        answer = f"after {one.generated} tokens of the answer"
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
