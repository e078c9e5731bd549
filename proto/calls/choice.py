"""One choice of an answer: its tokens become text, tool calls and an end."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raylax.proto.calls.events import TextEvent, TextLogprob
from raylax.proto.parsers.base import OutputParser, ParsedText
from raylax.proto.parsers.chain import ParserChain
from raylax.proto.text.detokenizer import Detokenizer
from raylax.proto.text.stop_strings import StopStrings
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.vocabulary import Delta, Finish, TokenLogprobs


@dataclass
class Choice:
    """Takes the deltas of one request in order and says what is new; the last event, and no other,
    has a `finish_reason`."""

    index: int
    tokenizer: Tokenizer
    stops: StopStrings
    parsers: Sequence[OutputParser] = ()
    """They read the text one after another; there are none when nothing but text is expected."""
    tokens: int = 0
    cached_tokens: int = 0
    finish_reason: str | None = None
    events: list[TextEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._detokenizer = Detokenizer(self.tokenizer)
        self._decoded = self._released = 0  # characters; the stop strings hold back the rest
        self._waiting: list[tuple[int, TextLogprob]] = []  # and where their tokens' text begins
        self._only_text = not self.parsers and not self.stops.wanted
        self._parser = ParserChain(self.parsers)
        self._called = False  # a tool

    @property
    def text(self) -> str:
        """The answer so far, without tool calls."""
        return "".join([event.text for event in self.events])

    @property
    def may_stop(self) -> bool:
        return self.stops.wanted

    def feed(self, delta: Delta) -> TextEvent | None:
        """What the delta adds to the answer; None if nothing can be said yet."""
        if self.finish_reason is not None:
            return None
        if delta.cached_tokens:
            self.cached_tokens = max(self.cached_tokens, delta.cached_tokens)
        if self._only_text and not delta.logprobs and delta.finish is None:  # as nearly all are
            self.tokens += len(delta.token_ids)
            said = self._detokenizer.add(delta.token_ids)
            event = TextEvent(self.index, said) if said else None
        else:
            event = self._feed_all(delta)
        if event is not None:
            self.events.append(event)
        return event

    def _feed_all(self, delta: Delta) -> TextEvent | None:
        """The slower way, for all that may come beside text."""
        said = self._release(delta)
        found = self._parser.add(said)
        if self.stops.stopped or delta.finish is not None:
            self._end(found, delta.finish)
        self._called = self._called or bool(found.calls)
        logprobs = self._logprobs() if self._waiting else ()
        if not (found.text or found.calls or logprobs or self.finish_reason):
            return None
        return TextEvent(self.index, found.text, tuple(found.calls), logprobs, self.finish_reason)

    def _release(self, delta: Delta) -> str:
        """The text that stop strings let out. Token by token, so that those after a stop string
        count for nothing."""
        said = ""
        for i, token in enumerate(delta.token_ids):
            self.tokens += 1
            if delta.logprobs:
                self._waiting.append((self._decoded, self._logprob(token, delta.logprobs[i])))
            piece = self._detokenizer.add([token])
            self._decoded += len(piece)
            said += self.stops.add(piece)
            if self.stops.stopped:
                break
        self._released += len(said)
        return said

    def _logprobs(self) -> tuple[TextLogprob, ...]:
        """Those whose tokens' text is out. Of a stop string that was cut there are none."""
        everything = self.finish_reason is not None and not self.stops.stopped
        ready = [one for at, one in self._waiting if everything or at < self._released]
        del self._waiting[: len(ready)]
        return tuple(ready)

    def _end(self, found: ParsedText, finish: Finish | None) -> None:
        rest = self.stops.add(self._detokenizer.finish()) + self.stops.finish()
        found.extend(self._parser.add(rest))
        found.extend(self._parser.finish())
        stopped = self.stops.stopped or finish is None
        reason = Finish.STOP if stopped else finish
        called = (self._called or found.calls) and reason is Finish.STOP
        self.finish_reason = "tool_calls" if called else str(reason)

    def _logprob(self, token: int, entry: TokenLogprobs) -> TextLogprob:
        top = tuple((self.tokenizer.bytes_of(t), logprob) for t, logprob in entry.top)
        return TextLogprob(self.tokenizer.bytes_of(token), entry.logprob, top)
