"""What is looked at: all workers and routers of one model, since the last look and now."""

from dataclasses import dataclass

from raylax.proto.vocabulary import StepTime

FILL = 0.7
"""Share of the target per token that a mean step may take: single steps take longer."""
LEAST_USABLE = 0.1
"""Of a worker's time, where the target per token is shorter than an empty step."""
USABLE = 1 - 0.1 / FILL
"""Where nobody set a target per token: as if it were ten empty steps."""
TTFT_S = 1.0
"""Where nobody set a target for the first token: from when on a backlog is too long."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What an operator wants of a model."""

    ttft_s: float = TTFT_S
    """Until the first token, of 99 % of the requests."""
    itl_s: float | None = None
    """Between two tokens, the mean of an answer."""
    wait_limit_s: float = 60.0
    """Who would wait longer is refused: so much of a backlog counts at most."""
    idle_s: float = 300.0
    """Without a request, until there are only the least workers, which may be none."""

    def usable(self, pace: StepTime) -> float:
        """Share of a worker's time that may be busy. At load r a mean step takes a/(1-r), which
        must stay below FILL of the target."""
        if self.itl_s is None:
            return USABLE
        return max(LEAST_USABLE, 1 - pace.a / (FILL * self.itl_s))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Sums are of the time since the last look, over all workers and routers past and present."""

    now: float
    """Seconds, of any clock that never goes back."""
    dt: float
    """Seconds since the last look, above 0."""
    arrived: float
    """Requests that came to routers, those that were refused too."""
    prompt: float
    """Their prompt tokens."""
    cached: float
    """Prompt tokens that workers found in their pages."""
    done: float
    """Requests that have ended."""
    done_out: float
    """Tokens of their answers."""
    ready: int
    """Workers that take requests, now."""
    decoding: float
    """Sequences that decode, now."""
    context: float
    """Tokens in the pages of those."""
    todo: float
    """Prompt tokens in workers' queues that are in no page, now."""
    queued: int
    """Requests held back at routers, now."""
    queued_tokens: float
    """Their prompt tokens."""
    busy: bool
    """Anything runs, waits or is held back."""
    target: int
    """Workers asked for so far: those that are ready, and those that start."""
    pace: StepTime
    """Of a mean worker's steps, as learned."""
    step_tokens: int
    """That a step may compute."""
    start_s: float
    """From the order of a worker until it is ready, as measured."""
    least: int
    """Workers at least; perhaps none."""
    most: int
    """Workers at most."""
