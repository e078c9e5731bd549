"""What a step has brought, as MLCEngine's callbacks are told it: by request and choice."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from raylax.proto.calls.call import Call
from raylax.proto.calls.events import TextEvent, TextLogprob
from raylax.proto.errors import RaylaxError
from raylax.proto.vocabulary import Delta, Finish


class SingleRequestStreamOutput(NamedTuple):
    """What a step has brought of one choice."""

    delta_token_ids: list[int]
    delta_text: str = ""
    """Of these tokens and earlier ones, as far as it is certain."""
    delta_logprob_json_strs: list[str] | None = None
    finish_reason: str | None = None
    request_final_usage_json_str: str | None = None


class RequestStreamOutput(NamedTuple):
    """What a step has brought of a request: one output for each choice, or at its end the usage."""

    request_id: str
    outputs: list[SingleRequestStreamOutput]

    def unpack(self) -> tuple[str, list[SingleRequestStreamOutput]]:
        """Id and outputs."""
        return self.request_id, self.outputs


StreamCallback = Callable[[list[RequestStreamOutput]], None]
NOTHING = SingleRequestStreamOutput([])


@dataclass
class RunningCall:
    """A call, and what the step that is being told has brought of its choices."""

    call: Call
    brought: dict[int, SingleRequestStreamOutput] = field(default_factory=dict)

    def take(self, delta: Delta) -> bool:
        """What a delta has brought; whether the engine is to end its request now."""
        index = [one.id for one in self.call.requests].index(delta.request_id)
        before = self.brought.get(index, NOTHING)
        if before.finish_reason is not None:
            return False
        try:
            event, cancel = self.call.feed(delta)
        except RaylaxError:
            event, cancel = TextEvent(index, finish_reason=Finish.ERROR), False
        text, entries, reason = ("", (), None) if event is None else event_parts(event)
        logprobs = [*(before.delta_logprob_json_strs or ()), *(as_json(entries) or ())]
        self.brought[index] = SingleRequestStreamOutput(
            [*before.delta_token_ids, *delta.token_ids],
            before.delta_text + text,
            logprobs or None,
            reason,
        )
        return cancel

    def outputs(self) -> list[SingleRequestStreamOutput]:
        """Of all choices; then there is nothing any more."""
        brought, self.brought = self.brought, {}
        return [brought.get(index, NOTHING) for index in range(len(self.call.requests))]


def event_parts(event: TextEvent) -> tuple[str, tuple[TextLogprob, ...], str | None]:
    """Text, log-probabilities, and why the choice has ended."""
    return event.text, event.logprobs, event.finish_reason


def as_json(entries: Iterable[TextLogprob]) -> list[str] | None:
    """Each token with its log-probability, as chat completions have it; None if there are none."""
    shown = [
        {
            **told_of(entry.token, entry.logprob),
            "top_logprobs": [told_of(token, logprob) for token, logprob in entry.top],
        }
        for entry in entries
    ]
    return [json.dumps(one) for one in shown] or None


def told_of(token: bytes, logprob: float) -> dict[str, Any]:
    """A token, its log-probability and its bytes."""
    return {
        "token": token.decode("utf-8", "replace"),
        "logprob": logprob,
        "bytes": list(token),
    }
