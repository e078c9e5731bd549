"""One choice of an answer: its tokens become text, tool calls and an end."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Literal

from raylax.proto.calls.events import ENTRY_BYTES, TextEvent, TextLogprob
from raylax.proto.parsers.base import (
    CallBroken,
    CallEnded,
    Content,
    OutputParser,
    Said,
    Thought,
    cut,
    whole,
)
from raylax.proto.parsers.chain import ParserChain
from raylax.proto.text.detokenizer import Detokenizer
from raylax.proto.text.stop_strings import StopStrings
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import Delta, Finish, TokenLogprobs

ThoughtsShown = Literal["apart", "in the text", "not"]
"""What becomes of thoughts that a parser finds."""
AS_GOOD_AS_IMPOSSIBLE = -9999.0
"""What OpenAI writes as the log-probability of such a token, whatever the model's own is: clients
compare with it, and JSON has no infinity."""


@dataclass
class Choice:
    """Takes the deltas of one request in order and says what is new; the last event, and no other,
    has a `finish_reason`."""

    index: int
    tokenizer: Tokenizer
    stops: StopStrings
    parsers: Sequence[OutputParser] = ()
    """They read the text one after another; there are none when nothing but text is expected."""
    shown: frozenset[int] = frozenset()
    """Special tokens that are text: parsers look for them, or clients want to see them."""
    stop_tokens: Mapping[int, str] = field(default_factory=dict)
    """Special tokens whose names are stop strings."""
    continues: bool = False
    """Whether the answer goes on with the text of its prompt."""
    only_calls: bool = False
    """Whether it has to be calls, and nothing else."""
    one_call: bool = False
    """Whether no tool but the first is called."""
    thoughts: ThoughtsShown = "apart"
    silent: bool = False
    """Whether nothing is told but what stands around the answer."""
    tops: int | None = None
    """Of how many others at a token's place log-probabilities are told; None: of all that come."""
    hides_logprobs: bool = False
    """Whether none are told: they came for another reason."""
    prompt_tops: int | None = None
    """Of how many tokens at each place of the prompt log-probabilities are told; None: the prompt's
    are not."""
    prompt_scores: Sequence[TokenLogprobs] = ()
    """Those, once they are there."""
    logprob_sum: float = 0.0
    """Of the answer's tokens, if log-probabilities came."""
    tells_ids: bool = False
    """Whether events have the ids of the tokens, too."""
    whole: bool = True
    """Whether the answer is written once it has ended: only then its ids and its
    log-probabilities are kept."""
    tokens: int = 0
    cached_tokens: int = 0
    accepted_tokens: int = 0
    reasoning_tokens: int = 0
    """How many of the tokens were thoughts, with their marks."""
    finish_reason: str | None = None
    events: list[TextEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._detokenizer = Detokenizer(self.tokenizer, self.shown, self.continues)
        self._decoded = self._released = 0  # characters; the stop strings hold back the rest
        self._waiting: deque[tuple[int, TextLogprob]] = (
            deque()
        )  # and where their tokens' text begins
        self._only_text = not self.parsers and not self.may_stop
        self._parser = ParserChain(self.parsers)
        self._undecided = 0  # tokens of which nobody knows yet what they are
        self._called = False  # a tool, and the call is whole
        self._before = self._after = ""
        self._scored: Sequence[int] = ()
        self._untold: list[int] = []  # ids of tokens that no event has had
        self._of_prompt: tuple[TextLogprob, ...] = ()  # until it is said

    @property
    def text(self) -> str:
        """The text of the answer, once it has ended."""
        return "".join([one for one in self.said if isinstance(one, str)])

    @property
    def said(self) -> tuple[Said, ...]:
        """The answer, once it has ended: text and calls of tools in their order."""
        return whole(one for event in self.events for one in event.in_order)

    @property
    def logprob_entries(self) -> list[TextLogprob]:
        """One for each token of the answer so far, if they were asked for."""
        return [entry for event in self.events for entry in event.logprobs]

    @property
    def token_ids(self) -> list[int] | None:
        """Those of the answer so far, if they are told."""
        return [id for event in self.events for id in event.token_ids] if self.tells_ids else None

    @property
    def size(self) -> int:
        """About how many bytes it has in an answer."""
        of_prompt = ENTRY_BYTES * sum([1 + len(one.top) for one in self.prompt_scores])
        return of_prompt + sum([event.size for event in self.events])

    @property
    def mean_logprob(self) -> float:
        """Of its tokens; that of none is less than any."""
        return self.logprob_sum / self.tokens if self.tokens else -inf

    @property
    def may_stop(self) -> bool:
        return self.stops.wanted or bool(self.stop_tokens)

    def frame(self, before: str, after: str, scored: Sequence[int] = ()) -> None:
        """Have its text stand between these, of which the second is not there if it ends early.
        `scored`: ids of the first one, whose log-probabilities come with the first delta."""
        self._before, self._after, self._scored = before, after, scored

    def feed(self, delta: Delta) -> TextEvent | None:
        """What the delta adds to the answer; None if nothing can be said yet."""
        if self.finish_reason is not None:
            return None
        if delta.cached_tokens:
            self.cached_tokens = max(self.cached_tokens, delta.cached_tokens)
        self.accepted_tokens = delta.accepted
        if self.silent and (delta.token_ids or delta.finish is not None):
            delta = delta._replace(token_ids=(), logprobs=(), finish=Finish.LENGTH)
        if delta.prompt_logprobs:
            self._take_scores(delta.prompt_logprobs)
        before, logprobs = self.tokens, delta.logprobs
        if logprobs and self.hides_logprobs:
            delta = delta._replace(logprobs=())
        if self._only_text and not delta.logprobs and delta.finish is None:  # as nearly all are
            self.tokens += len(delta.token_ids)
            said = self._detokenizer.add(delta.token_ids)
            event = TextEvent(self.index, said) if said else None
        else:
            event = self._feed_all(delta)
        for entry in logprobs[: self.tokens - before]:
            self.logprob_sum += entry.logprob
        if self.tells_ids:
            self._untold += delta.token_ids[: self.tokens - before]
        if event is not None:
            if self._untold:
                event, self._untold = event._replace(token_ids=tuple(self._untold)), []
            if self._before or self._after:
                event = self._framed(event)
            kept = event
            if not (self.whole or event.only_text):
                kept = event._replace(logprobs=(), token_ids=())
            self.events.append(kept)
        return event

    def _framed(self, event: TextEvent) -> TextEvent:
        """The event with what stands around the answer, in the first and in the last one."""
        text = event.text if self.events else self._before + event.text
        ended = event.finish_reason in (Finish.STOP, Finish.LENGTH)
        logprobs, self._of_prompt = (*self._of_prompt, *event.logprobs), ()
        return event._replace(text=text + self._after if ended else text, logprobs=logprobs)

    def _take_scores(self, told: Sequence[TokenLogprobs]) -> None:
        if self._scored:
            self._of_prompt = tuple(self._prompt_entries(told))
        if self.prompt_tops is not None:
            self.prompt_scores = told

    def _prompt_entries(self, told: Sequence[TokenLogprobs]) -> Iterator[TextLogprob]:
        """Of the prompt's tokens: the first follows nothing; special ones may be no text."""
        first, *others = self._scored
        yield TextLogprob(self._text_of(first), 0.0, follows_nothing=True)
        for token, entry in zip(others, told, strict=False):
            yield replace(self.logprob(token, entry, self.tops), token=self._text_of(token))

    def _text_of(self, token: int) -> bytes:
        told = token in self.shown or self.tokenizer.adds_text(token)
        return self.tokenizer.bytes_of(token) if told else b""

    def _feed_all(self, delta: Delta) -> TextEvent | None:
        """The slower way, for all that may come beside text."""
        found = self._read(delta)
        if self.stops.stopped or delta.finish is not None:
            found += self._allowed(self._last(delta.finish))
            self._end(delta.finish)
        self._only_text = self._parser.done and not self.may_stop
        logprobs = self._logprobs() if self._waiting else ()
        event = TextEvent.of(self.index, found, logprobs, self.finish_reason)
        return None if event.only_text and not event.text else event

    def _allowed(self, found: list[Content]) -> Iterator[Content]:
        """What was found, without calls beyond those that the client wants."""
        for one in found:
            if isinstance(one, Thought) and self.thoughts != "apart":
                if self.thoughts == "in the text":
                    yield one.text
            elif isinstance(one, str | Thought):
                yield one
            elif one.index == 0 or not self.one_call:
                self._called = self._called or isinstance(one, CallEnded)
                yield one
            elif isinstance(one, CallBroken):
                yield one.written

    def _read(self, delta: Delta) -> list[Content]:
        """What its text turns out to be. Token by token, so that those after a stop string count
        for nothing, and those of thoughts are counted."""
        found = list[Content]()
        for i, token in enumerate(delta.token_ids):
            self.tokens += 1
            thought = self._parser.thinking
            entry = delta.logprobs[i] if delta.logprobs else None
            new = self._parser.add(self._release(token, entry))
            self._count(thought or self._parser.thinking, bool(new))
            found += self._allowed(new)
            if self.stops.stopped:
                break
        return found

    def _count(self, is_thought: bool, is_known: bool) -> None:
        """One more token. Of a mark it is only known at its end what it is."""
        self._undecided += 1
        if is_thought:
            self.reasoning_tokens += self._undecided
        if is_thought or is_known:
            self._undecided = 0

    def _release(self, token: int, entry: TokenLogprobs | None) -> str:
        """The text that stop strings let out."""
        stop = self.stop_tokens.get(token)
        if entry is not None and (stop is None or self.stops.included):
            self._waiting.append((self._decoded, self.logprob(token, entry, self.tops)))
        if stop is not None:
            said = self._end_at(stop)
        else:
            piece = self._detokenizer.add([token])
            self._decoded += len(piece)
            said = self.stops.add(piece)
        self._released += len(said)
        return said

    def _end_at(self, stop: str) -> str:
        """What was held back before a token that ends the answer, and what is told of that."""
        said = self.stops.add(self._detokenizer.finish())
        said += self.stops.finish()  # nothing, if one of them was just found
        return said + self.stops.end_at(stop)

    def _logprobs(self) -> tuple[TextLogprob, ...]:
        """Those whose tokens' text is out. Of a stop string that was cut there are none."""
        everything = self.finish_reason is not None and not self.stops.stopped
        ready: list[TextLogprob] = []
        while self._waiting and (everything or self._waiting[0][0] < self._released):
            ready.append(self._waiting.popleft()[1])
        return tuple(ready)

    def _last(self, finish: Finish | None) -> list[Content]:
        """What was held back."""
        rest = self.stops.add(self._detokenizer.finish()) + self.stops.finish()
        found, held = self._parser.add(rest), self._parser.finish()
        is_cut = finish is Finish.LENGTH and not self.stops.stopped
        return [*found, *(cut(held, self.only_calls) if is_cut else held)]

    def _end(self, finish: Finish | None) -> None:
        stopped = self.stops.stopped or finish is None
        reason = Finish.STOP if stopped else finish
        called = self._called and reason is Finish.STOP
        self.finish_reason = "tool_calls" if called else str(reason)

    def logprob(self, token: int, entry: TokenLogprobs, most: int | None) -> TextLogprob:
        """What is told of a token, and of so many others at its place; None: of all."""
        top = tuple(
            (self.tokenizer.bytes_of(t), written(logprob)) for t, logprob in entry.top[:most]
        )
        return TextLogprob(self.tokenizer.bytes_of(token), written(entry.logprob), top)


def written(logprob: float) -> float:
    """The log-probability as a number of JSON."""
    return logprob if AS_GOOD_AS_IMPOSSIBLE < logprob < inf else AS_GOOD_AS_IMPOSSIBLE
