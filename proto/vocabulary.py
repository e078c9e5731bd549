"""The nouns that every room shares: a request, how to sample it, what comes back.

Token ids only: text is the business of `raylax.proto.text`. Nothing here imports anything of ours.
"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple


class Finish(StrEnum):
    """Why a request ended. Every accepted request ends with exactly one of these."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    ERROR = "error"


class Priority(IntEnum):
    """Classes of requests: a lower number is served first, everywhere."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Fault(StrEnum):
    """Whose fault an `error` is, so that a router can say so in its API's terms."""

    ENGINE = "engine"
    OVERLOADED = "overloaded"
    DEADLINE = "deadline"
    UNAVAILABLE = "unavailable"
    INVALID = "invalid"
    """The request breaks a rule."""
    REQUEST = "request"
    """It keeps the rules, but the model has no answer to it. Others notice nothing."""

    @property
    def is_final(self) -> bool:
        """Whether it says nothing of the worker, and another one would end the request so, too."""
        return self in (Fault.DEADLINE, Fault.INVALID, Fault.REQUEST)


class Inspected(StrEnum):
    """What can be asked of an engine, or done to it, by who looks into it."""

    METRICS = "metrics"
    TRACE = "trace"
    RESET = "reset"
    PROFILER_START = "cuda_profiler_start"
    PROFILER_STOP = "cuda_profiler_stop"
    SLEEP = "sleep"
    SLEEP_DEEPLY = "sleep deeply"
    """Level 2."""
    WAKE_UP = "wake up"
    SLEEP_LEVEL = "sleep level"
    """0: awake."""


@dataclass(frozen=True, slots=True)
class ThinkingLimit:
    """How long an answer may think before it speaks. All of it in token ids."""

    budget: int
    """Tokens of a thought at most."""
    opened_by: tuple[int, ...]
    """With these the answer begins, if it thinks; empty: it begins within a thought."""
    closed_by: int
    """With this a thought has ended."""
    close: tuple[int, ...]
    """What is said to end one; `closed_by` is the first that ends it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. The defaults draw from the model's own distribution."""

    temperature: float = 1.0
    """0 takes the most likely token."""
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps every token."""
    min_p: float = 0.0
    typical_p: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int = 0
    """Chosen by whoever accepts the request if the client does not: it can then be repeated."""
    top_logprobs: int | None = None
    """None: no log-probabilities; k: those of the token and of the k most likely ones."""
    min_tokens: int = 0
    """As long as the answer has fewer, no token is drawn that would end it."""
    allowed_token_ids: tuple[int, ...] = ()
    """The only tokens that are drawn; empty: all."""
    bad_words: tuple[tuple[int, ...], ...] = ()
    """Phrases, of a token or more, that are never said: their last token is not drawn behind the
    others."""
    grammar: str = ""
    """What the answer must be, in the notation of `raylax.proto.grammar`; empty: anything."""
    grammar_after: tuple[int, ...] = ()
    """The grammar begins behind these tokens of the answer; empty: with the answer."""
    thinking: ThinkingLimit | None = None
    """Where a thought is ended; None: wherever the model ends it."""

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken, so that nothing is drawn."""
        return self.temperature == 0.0


@dataclass(frozen=True, slots=True)
class CallOrigin:
    """Who makes a call, and what was said of it beside its body: its requests are made with that.
    The defaults are somebody of whom nothing is known."""

    tenant: str = ""
    share: float = 1.0
    highest: Priority = Priority.HIGH
    """The class that may be asked for at most."""
    priority: Priority | None = None
    """The class that is asked for; it holds over the body's. None: the body's holds."""
    timeout_s: float | None = None
    pages_within: str = ""
    """The tenant with whose other requests pages are shared; empty: with everybody's."""
    traceparent: str = ""
    tracestate: str = ""
    name: str = ""
    """What its caller calls the call; empty: it has a name of its own. Only who has an engine to
    itself may choose one."""

    def priority_of(self, asked: Priority) -> Priority:
        """The class of a call whose body asks for this one."""
        return max(asked if self.priority is None else self.priority, self.highest)

    def soonest(self, *timeouts_s: float | None) -> float | None:
        """The smallest of its own timeout and these; None if there is none."""
        return min((t for t in (self.timeout_s, *timeouts_s) if t is not None), default=None)


@dataclass(frozen=True, slots=True)
class Request:
    """One sequence to continue. `n` choices of one API call are `n` requests."""

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    """Limit of the whole answer, `history` included."""
    sampling: Sampling = field(default_factory=Sampling)
    choice: int = 0
    """Index among the choices of one API call; part of the sampling key."""
    stop_token_ids: frozenset[int] = frozenset()
    """The model's end tokens and the caller's. They end the answer and are not part of it."""
    history: tuple[int, ...] = ()
    """Tokens of the answer that were emitted elsewhere before; generation goes on after them."""
    deadline_s: float | None = None
    """Seconds from submission after which the request ends with an error."""
    tenant: str = ""
    """Whose request it is: engines share their time between tenants. Never an API key itself."""
    share: float = 1.0
    """Weight of its tenant, compared with those of others; more than 0."""
    priority: Priority = Priority.NORMAL
    pages_at: str = ""
    """Address of a worker that may still have its pages; empty: they are computed."""
    traceparent: str = ""
    """W3C trace context of the call."""
    tracestate: str = ""
    """What other systems keep with that trace."""
    embed: bool = False
    """It wants one vector of the prompt, and no tokens."""
    logits_of: tuple[int, ...] = ()
    """With `embed`: the vector is the logits of these tokens behind the prompt."""
    page_root: bytes = b""
    """What precedes its first page in the names of pages: it finds those of the same root."""
    pin: bool = False
    """Its prompt's full pages are kept when it has ended."""
    score: bool = False
    """The log-probabilities of its prompt's tokens are wanted, too, as those of its answer."""


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Log-softmax of the raw logits at one position: the token's own and the most likely ones."""

    logprob: float
    top: tuple[tuple[int, float], ...] = ()


class Cuts(NamedTuple):
    """How a prompt was computed, some of whose steps were cut for those who decoded beside it."""

    steps: int
    """That computed some of it."""
    cut: int
    """Of those, in which more of it was left out than its part of a full step."""
    target_s: float
    """Within which others' next token was to come, in the last of those."""
    beyond: int
    """Of those, in which that was not possible: the prompt had the least that it always has."""


class Delta(NamedTuple):
    """What a step added to one request. The last delta of a request carries `finish`."""

    request_id: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    """One entry a token when log-probabilities were asked for, else empty."""
    finish: Finish | None = None
    error: str | None = None
    """Set if and only if `finish` is ERROR."""
    cached_tokens: int = 0
    """Prompt tokens found in the prefix cache; set on a request's first delta."""
    fault: Fault = Fault.ENGINE
    """Whose fault the `error` is."""
    began: bool = False
    """It has left the queue: the next step computes some of it. Set once, without tokens."""
    embedding: tuple[float, ...] = ()
    """The vector of a request that asked for one, with its `finish`."""
    accepted: int = 0
    """How many of the request's tokens had been proposed, and were right; with its `finish`, as
    what follows."""
    drafts: int = 0
    """Of its steps those that verified a draft."""
    drafted: int = 0
    """Tokens of those drafts."""
    prompt_logprobs: tuple[TokenLogprobs, ...] = ()
    """Of the prompt's tokens but the first, if they were asked for; on a request's first delta with
    tokens, or with its finish."""
    cuts: Cuts | None = None
    """On a request's first delta with tokens; None: no step of its prompt was cut."""

    @property
    def is_one_token(self) -> bool:
        """Whether it says nothing but one token."""
        return (
            len(self.token_ids) == 1
            and self.finish is None
            and not (self.logprobs or self.cached_tokens or self.prompt_logprobs or self.cuts)
        )


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long a step takes: `a + b*prefill + c*decoding + d*context` seconds."""

    a: float = 0.0
    """Seconds that every step takes, whatever is in it."""
    b: float = 0.0
    """Seconds for each prefill token."""
    c: float = 0.0
    """Seconds for each sequence that decodes."""
    d: float = 0.0
    """Seconds for each token in the KV pages of those that decode."""

    def seconds(self, prefill: float, decoding: float, context: float) -> float:
        """Seconds of a step with so many prefill tokens and decoding sequences, whose pages hold
        `context` tokens."""
        return self.a + self.b * prefill + self.c * decoding + self.d * context


@dataclass(frozen=True, slots=True)
class Load:
    """One worker at one moment, between two steps. Pages: free + cached + used = total."""

    running: int = 0
    waiting: int = 0
    queued_tokens: int = 0
    """Prompt tokens that wait for their prefill, those found in the pages on arrival aside."""
    pages_total: int = 0
    pages_free: int = 0
    pages_cached: int = 0
    step: int = 0
    """Steps run since the start: it moves while the worker makes progress."""
    preemptions: int = 0
    prompt_tokens: int = 0
    """Counter of prompt tokens accepted."""
    cached_tokens: int = 0
    """Counter of prompt tokens found in the prefix cache."""
    generated_tokens: int = 0
    ended: int = 0
    """Counter of requests that have ended, however."""
    ended_tokens: int = 0
    """Counter of the tokens of their answers."""
    drafts: int = 0
    """Counter of steps of a sequence that verified a draft."""
    drafted_tokens: int = 0
    """Counter of tokens that were verified."""
    accepted_tokens: int = 0
    """Counter of those that were drawn."""
    decoding: int = 0
    """Running sequences that have one token to compute."""
    context_tokens: int = 0
    """Tokens in the KV pages of those."""
    step_tokens: int = 0
    """How many tokens a step may compute."""
    prefill_room: int = 0
    """How many of them it has for prefills beside those who decode now."""
    taken: int = 0
    """Counter of the requests that the engine has taken up: this load knows them."""
    pace: StepTime = StepTime()
    """How long its steps take; zeros while it has learned nothing."""
    draining: bool = False
    """It takes no new requests, and wants to be rid of those that it has."""

    @property
    def pages_used(self) -> int:
        """Pages that running requests hold."""
        return self.pages_total - self.pages_free - self.pages_cached

    @property
    def kv_usage(self) -> float:
        """Share of the pages that running requests hold, 0..1."""
        return self.pages_used / self.pages_total if self.pages_total else 0.0
