"""One choice of an answer: its tokens become text, tool calls and an end."""

from dataclasses import dataclass, field

from raylax.proto.events import TextEvent, TextLogprob
from raylax.proto.text import Detokenizer, StopStrings, Tokenizer
from raylax.proto.tools import Found, ToolCalls
from raylax.proto.vocabulary import Delta, Finish, TokenLogprobs


@dataclass
class Choice:
    """Fed with deltas in order; gives at most one event with a `finish_reason`."""

    index: int
    tokenizer: Tokenizer
    stops: StopStrings
    tools: ToolCalls | None
    """None: no tools were offered, so that text is only text."""
    text: str = ""
    tokens: int = 0
    cached_tokens: int = 0
    finish_reason: str | None = None
    events: list[TextEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._detokenizer = Detokenizer(self.tokenizer)

    def feed(self, delta: Delta) -> TextEvent | None:
        """What the delta adds to the answer; None if nothing can be said yet."""
        if self.finish_reason is not None:
            return None
        self.cached_tokens = max(self.cached_tokens, delta.cached_tokens)
        said, logprobs = self._say(delta)
        found = self.tools.add(said) if self.tools else Found(said)
        if self.stops.stopped or delta.finish is not None:
            self._end(found, delta.finish)
        event = TextEvent(
            self.index, found.text, tuple(found.calls), tuple(logprobs), self.finish_reason
        )
        if event == TextEvent(self.index):
            return None
        self.text += event.text
        self.events.append(event)
        return event

    def _say(self, delta: Delta) -> tuple[str, list[TextLogprob]]:
        """Token by token, so that tokens after a stop string count for nothing."""
        said, logprobs = "", []
        for i, token in enumerate(delta.token_ids):
            self.tokens += 1
            said += self.stops.add(self._detokenizer.add([token]))
            if delta.logprobs:
                logprobs.append(self._logprob(token, delta.logprobs[i]))
            if self.stops.stopped:
                break
        return said, logprobs

    def _end(self, found: Found, finish: Finish | None) -> None:
        rest = self.stops.add(self._detokenizer.finish()) + self.stops.finish()
        if self.tools:
            for last in (self.tools.add(rest), self.tools.finish()):
                found.text += last.text
                found.calls += last.calls
        else:
            found.text += rest
        stopped = self.stops.stopped or finish is None
        reason = Finish.STOP if stopped else finish
        called = self.tools is not None and self.tools.count and reason is Finish.STOP
        self.finish_reason = "tool_calls" if called else str(reason)

    def _logprob(self, token: int, entry: TokenLogprobs) -> TextLogprob:
        top = tuple((self.tokenizer.token(t), logprob) for t, logprob in entry.top)
        return TextLogprob(self.tokenizer.token(token), entry.logprob, top)
