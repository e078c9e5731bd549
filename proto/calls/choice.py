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
    """Fed with deltas in order; gives at most one event with a `finish_reason`."""

    index: int
    tokenizer: Tokenizer
    stops: StopStrings
    parsers: Sequence[OutputParser] = ()
    """In the order in which they read the text; none, when nothing but text is expected."""
    tokens: int = 0
    cached_tokens: int = 0
    finish_reason: str | None = None
    events: list[TextEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._detokenizer = Detokenizer(self.tokenizer)
        self._made = self._given = 0  # characters: decoded so far, and let out by the stop strings
        self._unheard: list[tuple[int, TextLogprob]] = []  # of tokens that begin where text is held
        self._only_text = not self.parsers and not self.stops.wanted
        self._parser = ParserChain(self.parsers)
        self._called = False  # some tool

    @property
    def text(self) -> str:
        """All of it so far."""
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
            event = self._look(delta)
        if event is not None:
            self.events.append(event)
        return event

    def _look(self, delta: Delta) -> TextEvent | None:
        """For whatever it may say beside text."""
        said = self._say(delta)
        found = self._parser.add(said)
        if self.stops.stopped or delta.finish is not None:
            self._end(found, delta.finish)
        self._called = self._called or bool(found.calls)
        heard = self._heard() if self._unheard else ()
        if not (found.text or found.calls or heard or self.finish_reason):
            return None
        return TextEvent(self.index, found.text, tuple(found.calls), heard, self.finish_reason)

    def _say(self, delta: Delta) -> str:
        """Token by token, so that tokens after a stop string count for nothing."""
        said = ""
        for i, token in enumerate(delta.token_ids):
            self.tokens += 1
            if delta.logprobs:
                self._unheard.append((self._made, self._logprob(token, delta.logprobs[i])))
            piece = self._detokenizer.add([token])
            self._made += len(piece)
            said += self.stops.add(piece)
            if self.stops.stopped:
                break
        self._given += len(said)
        return said

    def _heard(self) -> tuple[TextLogprob, ...]:
        """Log-probabilities come with their tokens' text; those of a cut stop string never do."""
        everything = self.finish_reason is not None and not self.stops.stopped
        heard = [one for at, one in self._unheard if everything or at < self._given]
        del self._unheard[: len(heard)]
        return tuple(heard)

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
