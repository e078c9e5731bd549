"""What an engine has done, by the names that MLC-LLM has for it.

Sums since the start, or since a reset. They move with each step, not only when a request ends.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from raylax.proto.calls.timing import Timing
from raylax.proto.vocabulary import Delta, Request
from raylax.worker.scheduling.counters import Counters, StepSums

Numbers = dict[str, Any]


@dataclass(slots=True)
class LiveRequest:
    """One that has not ended."""

    timing: Timing
    prompt: int
    cached: int = 0
    tokens: int = 0


class EngineMetrics:
    """Kept by the engine thread; any may look at `numbers`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._live: dict[str, LiveRequest] = {}
        self._last: Numbers = {}  # of the request that ended last
        self._first_tokens = 0
        self._counters, self._before = Counters(), Counters()  # as they were at the last reset

    def follow(self, counters: Counters) -> None:
        """These are counted from now on: those of a model that has been loaded."""
        self._counters, self._before = counters, Counters()
        self._last, self._first_tokens = {}, 0

    def reset(self) -> None:
        """Begin at nothing."""
        self._counters.sums.clear()
        self._before = self._counters.copy()
        self._last, self._first_tokens = {}, 0

    def added(self, request: Request) -> None:
        """A request has come."""
        self._live[request.id] = LiveRequest(Timing(self._clock), len(request.prompt))

    def heard(self, deltas: Iterable[Delta]) -> None:
        """What a step came to. This runs for each token."""
        for delta in deltas:
            if (one := self._live.get(delta.request_id)) is None:
                continue
            if delta.token_ids:
                if not one.tokens:
                    self._first_tokens += 1
                    one.cached = delta.cached_tokens
                    one.timing.heard()
                one.tokens += len(delta.token_ids)
            if delta.finish is not None:
                one.timing.heard()
                self._last = one.timing.metrics(one.prompt, one.prompt - one.cached, one.tokens)
                del self._live[delta.request_id]

    def numbers(self) -> Numbers:
        """All of them, nested as MLC has them."""
        done, before = self._counters, self._before
        sums, generated = done.sums, done.generated_tokens - before.generated_tokens
        decoded = max(0, generated - self._first_tokens)
        nested = {
            "last_finished_request": self._last,
            "spec_decode": of_drafts(done, before),
            "decode_time_by_batch_size": by_size(sums),
        }
        return {
            "engine_prefill_time_sum": sums.prefill_s,
            "engine_decode_time_sum": sums.decode_s,
            "engine_jump_forward_time_sum": 0.0,
            "prompt_tokens_sum": done.prompt_tokens - before.prompt_tokens,
            "completion_tokens_sum": generated,
            "prefill_tokens_sum": sums.prefill_tokens,
            "decode_tokens_sum": decoded,
            "jump_forward_tokens_sum": 0,
            **rate("prefill_tokens_per_s", sums.prefill_tokens, sums.prefill_s),
            **rate("decode_tokens_per_s", decoded, sums.decode_s),
            **{name: numbers for name, numbers in nested.items() if numbers},
        }


def of_drafts(done: Counters, before: Counters) -> Numbers:
    """What became of drafts since then, by the tokens of a step: the first one is always right."""
    if not (steps := done.drafts - before.drafts):
        return {}
    pairs = zip(done.drafted_at, before.drafted_at, strict=True)
    drafted = [steps, *(now - then for now, then in pairs)]
    while not drafted[-1]:
        drafted.pop()
    pairs = zip(done.accepted_at, before.accepted_at, strict=True)
    accepted = [steps, *(now - then for now, then in pairs)][: len(drafted)]
    shares = [right / count for right, count in zip(accepted, drafted, strict=True)]
    return {
        "draft_count": drafted,
        "accept_count": accepted,
        "accept_prob": {f"accept_prob{{step={at}}}": share for at, share in enumerate(shares)},
        "accept_rate": {
            f"accept_rate{{step={at}}}": accepted[at] / max(1, accepted[at - 1])
            for at in range(1, len(accepted))
        },
        "accept_len": {
            f"accept_len{{step={at}}}": length for at, length in enumerate(accumulate(shares))
        },
    }


def rate(name: str, tokens: int, seconds: float) -> Numbers:
    """Tokens a second, if there were any."""
    return {name: tokens / seconds} if seconds > 0 else {}


def by_size(sums: StepSums) -> Numbers:
    """Means of decoding steps."""
    return {
        f"{what}{{batch_size={size}}}": value
        for size, count in enumerate(sums.by_size)
        if count > 1
        for what, value in (("mean", sums.by_size_s[size] / (count - 1)), ("count", count - 1))
    }
