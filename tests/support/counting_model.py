"""Batches of a model that counts: after token t comes t + 1."""

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Finish, Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.outcomes import StepFailed
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.outputs import saying, spoiled

VOCAB = 1000
GREEDY = Sampling(temperature=0.0)
COMMON = tuple(range(100, 132))
"""Two pages."""


def count(plan: StepPlan) -> StepOutput:
    return saying((plan.batch.tokens[plan.batch.rows] + 1) % VOCAB, VOCAB)


def batch(
    pages: int = 64, tokens: int = 64, sequences: int = 4, prefix_cache: bool = True
) -> Batch:
    return Batch(Roster(PagePool(pages, prefix_cache)), StepLimits(tokens, sequences), count)


def ask(
    id: str, prompt: tuple[int, ...], max_tokens: int = 20, deadline: float | None = None
) -> Sequence:
    return Sequence(Request(id, prompt, max_tokens, GREEDY), deadline)


def ask_for(tenant: str, id: str, prompt: tuple[int, ...], max_tokens: int = 20) -> Sequence:
    return Sequence(Request(id, prompt, max_tokens, GREEDY, tenant=tenant))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Poison:
    """A model that fails whenever one of these tokens is in the plan; remembers its plans."""

    def __init__(self, *tokens: int) -> None:
        self.tokens = set(tokens)
        self.sizes: list[int] = []
        self.tokens_of_steps: list[int] = []

    def __call__(self, plan: StepPlan) -> StepOutput:
        self.sizes.append(len(plan.batch.query_starts) - 1)
        self.tokens_of_steps.append(len(plan.batch.tokens))
        if found := self.tokens & set(plan.batch.tokens.tolist()):
            raise FloatingPointError(f"no {found}")
        return count(plan)


def run(made: Batch) -> dict[str, list[Delta]]:
    """Until everybody has ended; in the order of their ends."""
    said: dict[str, list[Delta]] = {}
    ended: list[str] = []
    for _ in range(2000):
        if made.roster.idle:
            return {id: said[id] for id in ended}
        try:
            deltas = made.step()
        except StepFailed as failure:
            deltas = [
                Delta(id, finish=Finish.ERROR, error=str(failure)) for id in failure.request_ids
            ]
        for delta in deltas:
            said.setdefault(delta.request_id, []).append(delta)
            ended += [delta.request_id] if delta.finish else []
    raise AssertionError(f"no end: {made.roster.pool}, {len(made.roster.waiting)} waiting")


def tokens(deltas: list[Delta]) -> list[int]:
    return [token for delta in deltas for token in delta.token_ids]


def without_numbers(plan: StepPlan) -> StepOutput:
    """As `count`, but what follows token 12 is no number."""
    return spoiled(count(plan), plan.batch.tokens[plan.batch.rows] == 12)
