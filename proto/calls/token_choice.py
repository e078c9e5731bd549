"""A choice whose reader wants token ids rather than text."""

from dataclasses import dataclass, field

from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent
from raylax.proto.vocabulary import Delta, TokenLogprobs


@dataclass
class TokenChoice(Choice):
    """A choice that also keeps its token ids. Stop strings are still found in their text, but no
    token waits for its text: there is an event for each at once."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    """An entry for each token, if they were asked for."""

    def feed(self, delta: Delta) -> TextEvent | None:
        before = self.tokens
        event = super().feed(delta)
        taken = self.tokens - before  # those after a stop string count for nothing
        self.ids += delta.token_ids[:taken]
        self.logprobs += delta.logprobs[:taken]
        return event or (TextEvent(self.index) if taken else None)
