"""One model as clients see it: what may be asked, who is let in, how a call runs.

HTTP and gRPC use this.
"""

import random
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent
from raylax.proto.errors import RaylaxError
from raylax.proto.frontend import Frontend
from raylax.router.access.caller import caller
from raylax.router.access.demand import Demand
from raylax.router.access.rate_limits import Cost
from raylax.router.calls.admission import Admission
from raylax.router.calls.dispatcher import Dispatcher
from raylax.router.calls.hedging import HedgePolicy
from raylax.router.calls.journal import Journal
from raylax.router.calls.retry_budget import RetryBudget
from raylax.router.calls.runner import CallRunner, CallTerms
from raylax.router.calls.state import RouterState
from raylax.router.config import RouterConfig
from raylax.router.observe.measures import ModelMeasures, RunningRequest
from raylax.router.observe.metrics import CallMetrics
from raylax.router.observe.telemetry import EndedCall
from raylax.router.observe.timeline import Timeline
from raylax.router.observe.trace_context import TraceContext
from raylax.router.prompts.call_maker import CallMaker
from raylax.router.resume.answer_log import AnswerLog
from raylax.router.workers.registry import Workers

Prepared = TypeVar("Prepared")
A_TOKEN = Cost(sequences=0, prompt_tokens=1)
"""What every request comes to at least, beside those that its key has running."""


class Service:
    """A model that is served: its frontend, its workers, and the calls that run."""

    def __init__(
        self,
        config: RouterConfig,
        frontend: Frontend,
        workers: Workers,
        state: RouterState,
        demand: Demand,
    ) -> None:
        """`demand`: counts what comes for it."""
        self.demand = demand
        self.config, self.frontend, self.workers, self.state = config, frontend, workers, state
        self.name, self.metrics = frontend.name, CallMetrics(config.policy)
        limits, self._clock = config.limits, state.clock
        self.dispatcher = Dispatcher(
            workers,
            state.clock,
            random.Random(),
            config.policy,
            limits.worker_patience_s,
            limits.max_wait_s,
            demand.next_ready_s,
            HedgePolicy(limits.hedge_share),
            retry_budget=RetryBudget(state.share_of),
        )
        self.admission = Admission(
            workers.ledger.fleet,
            self.dispatcher.journal,
            state.clock,
            limits.max_wait_s,
            target_s=config.ttft_target_s,
            next_ready_s=demand.next_ready_s,
        )

    @property
    def measures(self) -> ModelMeasures:
        """What was measured of its calls so far."""
        return self.metrics.measures(len(self.admission))

    def longest(self, most: int) -> list[RunningRequest]:
        """Its requests that have been running for the longest time, that one first."""
        now = self._clock()
        return [
            RunningRequest(
                request_id=entry.request.id,
                model=self.name,
                tenant=entry.request.tenant,
                workers=[*entry.workers],
                phase=entry.phase,
                age_s=round(now - entry.timeline.arrived, 3),
                prompt_tokens=len(entry.request.prompt),
                generated_tokens=len(entry.emitted),
            )
            for entry in self.journal.oldest(most)
        ]

    @property
    def held(self) -> tuple[int, int]:
        """Calls that wait for their turn and requests that look for a worker, and the tokens of
        both."""
        waiting, tokens = self.admission.held()
        stranded = self.journal.without_worker()
        return waiting + len(stranded), tokens + sum(one.known_tokens for one in stranded)

    @property
    def journal(self) -> Journal:
        """Requests on their way."""
        return self.dispatcher.journal

    async def prepare(self, size: int, work: Callable[[], Prepared]) -> Prepared:
        """The result of `work`, which reads a request of `size` bytes. Raises Overloaded and
        RateLimited where it would be in vain: no prompt is made of it then."""
        origin = caller().origin
        with self.metrics.refusals():
            self.state.places.check(origin.tenant, 1)
            self.state.rate_limiter.check(origin.tenant, A_TOKEN, self._clock())
        return await self.state.parse_pool.read(size, work, origin.tenant, origin.share)

    def maker(self, size: int) -> CallMaker:
        """Makes the calls of a request of `size` bytes, which this caller has sent."""
        state = self.state
        return CallMaker(self.frontend, state.prompts, state.parse_pool, caller().origin, size)

    def allowed_s(self, timeout_s: float | None) -> float:
        """How long a call may take: as long as its client wants, within this router's limit."""
        longest = self.config.limits.request_timeout_s
        return longest if timeout_s is None else min(timeout_s, longest)

    async def run(
        self,
        call: Call,
        timeout_s: float | None = None,
        session: str = "",
        span: TraceContext | None = None,
        whole: bool = False,
        log: AnswerLog | None = None,
        again: bool = False,
    ) -> AsyncGenerator[list[TextEvent]]:
        """The call's events, in one list those that came together. Leaving the iteration early
        cancels what is still running.

        `session`: calls that share one go to the same worker, under a policy that looks at it.
        `whole`: only the end matters.
        `again`: it was let in before, by a router that has died, and is not refused.
        `log`: keeps what is said, and has what was said before.
        `span`: ours, of the call's trace; without it nothing is traced.
        """
        if not again:
            self.demand.came(len(call.requests), sum(len(one.prompt) for one in call.requests))
        with self._let_in(call, again):
            tenant, count = call.requests[0].tenant, len(call.requests)
            timeline = Timeline(call.id, self._clock, tenant, count, self.name)
            self.state.timelines.begin(timeline)
            traced = span is not None and span.sampled
            timer = self.metrics.begin(f"{span.trace_id:032x}" if span and traced else "")
            run: AsyncGenerator[list[TextEvent]] | None = None
            failure: BaseException | None = None
            try:
                left_s = await self._wait_for_turn(call, timeline, self.allowed_s(timeout_s))
                timer.admitted()
                terms = CallTerms(left_s, session, whole)
                run = CallRunner(call, timeline, terms, self.dispatcher, log).events()
                async for events in run:
                    timer.events(events)
                    yield events
            except BaseException as error:
                failure = error
                if isinstance(error, RaylaxError):
                    error.call_id = call.id
                raise
            finally:
                if run is not None:
                    await run.aclose()
                timeline.end()
                timer.end(call, timeline)
                self.state.usage.count(call)
                if span is not None:
                    ended = EndedCall(self.name, call, timeline, span, failure)
                    self.state.telemetry.record(ended)

    @contextmanager
    def _let_in(self, call: Call, again: bool) -> Iterator[None]:
        """The call has its places, and its part of its key's limits, until it has ended. Raises
        InvalidRequest, Overloaded and RateLimited."""
        first = call.requests[0]
        cost = cost_of(call)
        with ExitStack() as stack:
            with self.metrics.refusals():
                places = self.state.places.taken(first.tenant, cost.sequences, again)
                stack.enter_context(places)
                ticket = self.state.rate_limiter.admit(first.tenant, cost, self._clock(), again)
            try:
                yield
            finally:
                self.admission.generated(first.tenant, call.completion_tokens, first.share)
                ticket.used = call.prompt_tokens + call.completion_tokens
                ticket.close(self._clock())

    async def _wait_for_turn(self, call: Call, timeline: Timeline, allowed_s: float) -> float:
        """Wait until the call is let through; returns the seconds that are left of its time."""
        first = call.requests[0]
        tokens = sum(len(request.prompt) for request in call.requests)
        with self.metrics.refusals():
            await self.admission.enter(first.tenant, first.priority, tokens, allowed_s, first.share)
        timeline.note("admitted")
        return allowed_s - (self._clock() - timeline.arrived)


def cost_of(call: Call) -> Cost:
    """What the limits of keys count of a call."""
    return Cost(len(call.requests), call.prompt_tokens, call.asked_tokens, call.open_ended)
