"""Continuous batching: sequences come, share steps, and leave. Used by the engine thread alone.

Each `step` is: decide, lay out the plan, run it, draw tokens, commit. If running fails, nothing
was committed: the sequences of that plan end with an error and their pages come back (law 3).
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Delta, Finish, Load, Request, TokenLogprobs
from raylax.worker.pages import PAGE_SIZE, PagePool
from raylax.worker.plan import StepPlan, make_plan
from raylax.worker.sampling import is_plain_greedy, log_probabilities, sample
from raylax.worker.scheduler import Candidate, Decision, Limits, schedule
from raylax.worker.sequence import Sequence, pages_for

MOST_ADMITTED = 8  # in one step: looking at more of a long queue would cost every step
Run = Callable[[StepPlan], StepOutput]


@dataclass
class Counters:
    steps: int = 0
    preemptions: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    finished: int = 0


@dataclass
class Batch:
    """The sequences of one engine and their pages."""

    pool: PagePool
    limits: Limits
    run: Run
    waiting: deque[Sequence] = field(default_factory=deque)
    running: list[Sequence] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.running

    def add(self, request: Request, deadline: float | None) -> None:
        self.waiting.append(Sequence(request, deadline))
        self.counters.prompt_tokens += len(request.prompt)

    def remove(self, request_id: str) -> bool:
        """Take a sequence out, wherever it is; False if it is not here."""
        for one in self.everyone():
            if one.request.id == request_id:
                self._leave(one)
                return True
        return False

    def everyone(self) -> Iterator[Sequence]:
        yield from tuple(self.running)
        yield from tuple(self.waiting)

    def overdue(self, now: float) -> list[Sequence]:
        return [one for one in self.everyone() if one.deadline is not None and one.deadline <= now]

    def step(self) -> list[Delta]:
        """One step of the model; every sequence that ended or grew has a delta."""
        batch = self._apply(self._decide())
        if not batch:
            return []
        self.counters.steps += 1
        plan = make_plan(self.counters.steps, batch)
        try:
            output = self.run(plan)
            return self._commit(batch, output)
        except Exception as error:
            for one, _ in batch:
                if one in self.running:
                    self._leave(one)
            message = f"step {plan.number} failed: {type(error).__name__}: {error}"
            raise StepFailed(message, [one.request.id for one, _ in batch]) from error

    def _decide(self) -> Decision:
        running = [
            Candidate(one.request.id, one.pending, one.computed, len(one.pages))
            for one in self.running
        ]
        seats = self.limits.sequences - len(running)
        next_up = islice(self.waiting, min(seats, MOST_ADMITTED))
        waiting = [self._as_candidate(one) for one in next_up]
        return schedule(running, waiting, self.pool.available, self.limits)

    def _as_candidate(self, one: Sequence) -> Candidate:
        """As if it were admitted now; at least its last token is computed, for its logits."""
        found = self.pool.find(one.name_pages(len(one.tokens) - 1))
        computed = len(found) * PAGE_SIZE
        revived = sum(self.pool.is_cached(page) for page in found)
        return Candidate(one.request.id, len(one.tokens) - computed, computed, len(found), revived)

    def _apply(self, decision: Decision) -> list[tuple[Sequence, int]]:
        by_id = {one.request.id: one for one in self.running}
        for request_id in decision.preempt:
            self._preempt(by_id[request_id])
        for request_id in decision.admit:
            one = self.waiting.popleft()
            assert one.request.id == request_id
            self._admit(one)
            by_id[request_id] = one
        batch = [(by_id[request_id], count) for request_id, count in decision.steps]
        for one, count in batch:
            self._reserve(one, one.computed + count)
        return batch

    def _admit(self, one: Sequence) -> None:
        found = self.pool.find(one.name_pages(len(one.tokens) - 1))
        self.pool.share(found)
        one.pages, one.computed = found, len(found) * PAGE_SIZE
        if not one.announced:
            one.cached_tokens = min(one.computed, len(one.request.prompt))
            self.counters.cached_tokens += one.cached_tokens
        self._reserve(one, len(one.tokens))
        self.running.append(one)

    def _reserve(self, one: Sequence, tokens: int) -> None:
        one.pages += [self.pool.take() for _ in range(pages_for(tokens) - len(one.pages))]

    def _preempt(self, one: Sequence) -> None:
        self.running.remove(one)
        self.pool.release(one.pages)
        one.pages, one.computed = [], 0
        self.waiting.appendleft(one)
        self.counters.preemptions += 1

    def _leave(self, one: Sequence) -> None:
        if one in self.running:
            self.running.remove(one)
            self.pool.release(one.pages)
            one.pages = []
        else:
            self.waiting.remove(one)

    def _commit(self, batch: list[tuple[Sequence, int]], output: StepOutput) -> list[Delta]:
        drawn = self._draw(batch, output)
        deltas = []
        for one, count in batch:
            one.computed += count
            full = one.name_pages(one.computed)
            for page, name in zip(one.pages, full, strict=False):
                self.pool.publish(page, name)
            if one.request.id in drawn:
                deltas.append(self._extend(one, *drawn[one.request.id]))
        return deltas

    def _draw(
        self, batch: list[tuple[Sequence, int]], output: StepOutput
    ) -> dict[str, tuple[int, tuple[TokenLogprobs, ...]]]:
        """Tokens for the sequences that end the step with nothing pending, in plan order."""
        ending = [one for one, count in batch if count == one.pending]
        drawn: dict[str, tuple[int, tuple[TokenLogprobs, ...]]] = {}
        for row, one in enumerate(ending):
            request, prompt = one.request, len(one.request.prompt)
            sampling = request.sampling
            if is_plain_greedy(sampling):
                token = int(output.argmax[row])
            else:
                token = sample(
                    output.logits[row],
                    sampling,
                    request.choice,
                    request.prompt,
                    one.tokens[prompt:],
                )
            logprobs: tuple[TokenLogprobs, ...] = ()
            if sampling.top_logprobs is not None:
                logprobs = (log_probabilities(output.logits[row], token, sampling.top_logprobs),)
            drawn[request.id] = token, logprobs
        return drawn

    def _extend(self, one: Sequence, token: int, logprobs: tuple[TokenLogprobs, ...]) -> Delta:
        """Append the token, or end at it."""
        request = one.request
        cached = 0 if one.announced else one.cached_tokens
        one.announced = True
        if token in request.stop_token_ids:
            self._end(one)
            return Delta(request.id, finish=Finish.STOP, cached_tokens=cached)
        one.tokens.append(token)
        self.counters.generated_tokens += 1
        finish = Finish.LENGTH if one.generated >= request.max_tokens else None
        if finish:
            self._end(one)
        return Delta(request.id, (token,), logprobs, finish, None, cached)

    def _end(self, one: Sequence) -> None:
        self._leave(one)
        self.counters.finished += 1

    def load(self) -> Load:
        return Load(
            running=len(self.running),
            waiting=len(self.waiting),
            queued_tokens=sum(one.pending for one in self.everyone() if one.pending > 1),
            pages_total=self.pool.total,
            pages_free=self.pool.free,
            pages_cached=self.pool.cached,
            step=self.counters.steps,
            preemptions=self.counters.preemptions,
            prompt_tokens=self.counters.prompt_tokens,
            cached_tokens=self.counters.cached_tokens,
            generated_tokens=self.counters.generated_tokens,
        )


class StepFailed(Exception):
    """A step raised. Its sequences are gone, their pages came back."""

    def __init__(self, message: str, request_ids: list[str]) -> None:
        super().__init__(message)
        self.request_ids = request_ids
