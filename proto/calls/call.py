"""One API call: the requests that it comes to, and the answer that their tokens make."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent
from raylax.proto.calls.scoring import best
from raylax.proto.calls.timing import Timing
from raylax.proto.errors import RaylaxError, error_of
from raylax.proto.openai.shared import CompletionTokensDetails, PromptTokensDetails, Usage
from raylax.proto.vocabulary import Delta, Finish, Request

Operation = Literal["chat", "text_completion", "embeddings"]
"""What is asked for, by the name of OpenTelemetry's conventions (gen_ai.operation.name)."""
PartKind = TypeVar("PartKind")


class CallPart(Protocol):
    """What the deltas of one request make: a `Choice`, or a `Vector`."""

    tokens: int
    """How many were generated."""
    cached_tokens: int
    accepted_tokens: int
    """How many of the generated ones had been proposed, and were right."""
    finish_reason: str | None

    @property
    def size(self) -> int:
        """About how many bytes it has in an answer."""
        ...

    @property
    def may_stop(self) -> bool:
        """Whether its text may end it, of which its engine knows nothing."""
        ...

    def feed(self, delta: Delta) -> TextEvent | None:
        """What is new; None if nothing can be said yet. The last event has `finish_reason`."""
        ...


class FeedResult(NamedTuple):
    """What a delta has brought."""

    event: TextEvent | None
    cancel: bool
    """Whether the text has ended (by a stop string) and the engine does not know: its request is to
    be aborted there."""


class Call:
    """The requests of one call, and what their deltas make. Who runs it submits `requests` and
    feeds each delta."""

    def __init__(
        self,
        id: str,
        requests: list[Request],
        choices: Sequence[CallPart],
        operation: Operation,
    ) -> None:
        self.id, self.requests, self.operation = id, requests, operation
        self.drawn = self.kept = 1
        """Of so many requests for each prompt so many answers are told, the likeliest."""
        self.open_ended = False
        """Whether nobody has said how long its answers may be."""
        self._choices = dict(zip((r.id for r in requests), choices, strict=True))
        self._left = len(self._choices)
        self._prompts = {id_of_prompt(r): len(r.prompt) for r in requests}
        self.error: RaylaxError | None = None
        self.timing: Timing | None = None
        """Set by who wants to know how long it took."""
        self.asked: dict[str, Any] = {}
        """What else is told then of it."""
        self.may_stop = any(part.may_stop for part in choices)
        """Whether a part of it may end by its text."""

    @property
    def parts(self) -> list[CallPart]:
        """What becomes of each request, in their order."""
        return list(self._choices.values())

    def ended_parts(self, kind: type[PartKind]) -> list[PartKind]:
        """All parts, which are of this kind; raises the error that ended the call."""
        if self.error is not None:
            raise self.error
        assert self.done, f"{self.id}: {len(self.open)} choices have not ended"
        ended: list[PartKind] = []
        for part in self._choices.values():
            assert isinstance(part, kind)
            ended.append(part)
        return ended

    def best_parts(self) -> list[Choice]:
        """As `ended_parts`, those that are told."""
        parts = self.ended_parts(Choice)
        return best(parts, self.drawn, self.kept) if self.picks else parts

    @property
    def picks(self) -> bool:
        """Whether it has answers that are not told, so that none is before all have ended."""
        return self.drawn > self.kept

    @property
    def open(self) -> list[str]:
        """Ids of the requests that have not ended."""
        return [id for id, choice in self._choices.items() if choice.finish_reason is None]

    @property
    def done(self) -> bool:
        """Whether all its parts have ended, or an error has ended it."""
        return self._left == 0 or self.error is not None

    def be_streamed(self) -> None:
        """Keep no log-probabilities: each event is written when it comes."""
        for part in self._choices.values():
            if isinstance(part, Choice):
                part.whole = False

    def feed(self, delta: Delta) -> FeedResult:
        """What a delta has brought. Raises the error of one that ends its request with an error."""
        choice = self._choices[delta.request_id]
        if self.timing is not None and (delta.token_ids or delta.finish):
            self.timing.heard()
        if delta.finish is Finish.ERROR and choice.finish_reason is None:
            self.error = error_of(delta.fault, delta.error or "the engine failed")
            raise self.error
        event = choice.feed(delta)
        ended_here = event is not None and event.finish_reason is not None
        self._left -= ended_here
        return FeedResult(event, cancel=ended_here and delta.finish is None)

    def prompt_told(self, request: int) -> list[int] | None:
        """The ids of a request's prompt, if they are told."""
        part = self.parts[request]
        told = isinstance(part, Choice) and part.tells_ids
        return list(self.requests[request].prompt) if told else None

    def first_of(self, choice: int) -> int:
        """The first request for the prompt of a choice that is told."""
        return choice // self.kept * self.drawn

    @property
    def prompt_tokens(self) -> int:
        """Tokens of all prompts. One is counted once, however many choices continue it."""
        return sum(self._prompts.values())

    @property
    def asked_tokens(self) -> int:
        """How many tokens its answers may have at most."""
        return sum([request.max_tokens for request in self.requests if not request.embed])

    @property
    def completion_tokens(self) -> int:
        """Tokens generated so far."""
        return sum([choice.tokens for choice in self._choices.values()])

    @property
    def size(self) -> int:
        """About how many bytes the whole answer has."""
        return sum([part.size for part in self._choices.values()])

    @property
    def usage(self) -> Usage:
        prompt, said = self.prompt_tokens, self.completion_tokens
        cached = max((choice.cached_tokens for choice in self._choices.values()), default=0)
        choices = [one for one in self._choices.values() if isinstance(one, Choice)]
        thought = sum([choice.reasoning_tokens for choice in choices])
        accepted = sum([choice.accepted_tokens for choice in self._choices.values()])
        return Usage(
            prompt_tokens=prompt,
            completion_tokens=said,
            total_tokens=prompt + said,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=cached),
            completion_tokens_details=CompletionTokensDetails(
                reasoning_tokens=thought, accepted_prediction_tokens=accepted
            ),
            extra=self._extra(),
        )

    def _extra(self) -> dict[str, Any] | None:
        """What it took; of several choices each has its own prefill."""
        if self.timing is None:
            return None
        parts = self._choices.values()
        prefilled = sum([len(r.prompt) for r in self.requests]) - sum(
            [part.cached_tokens for part in parts]
        )
        answers = sum([part.tokens > 0 for part in parts])
        took = self.timing.metrics(self.prompt_tokens, prefilled, self.completion_tokens, answers)
        return took | self.asked


def id_of_prompt(request: Request) -> str:
    """The name that the choices of one prompt share: requests are named call/prompt/choice."""
    return request.id.rsplit("/", 1)[0]
