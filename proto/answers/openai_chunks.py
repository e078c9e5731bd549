"""Events and choices in the shapes of OpenAI's two APIs."""

from codecs import getincrementaldecoder
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent, TextLogprob, readable
from raylax.proto.openai import chat, completions
from raylax.proto.openai.shared import Usage
from raylax.proto.parsers.base import ToolCall


@dataclass
class ChatShape:
    operation: ClassVar[str] = "chat"
    id: str
    model: str
    created: int
    _greeted: set[int] = field(default_factory=set)

    def chunks(self, event: TextEvent) -> list[chat.ChatCompletionChunk]:
        """A choice's first chunk has the role; its end is a chunk of its own, as OpenAI's is."""
        out = []
        role = None
        if event.choice not in self._greeted:
            self._greeted.add(event.choice)
            role = "assistant"
        if event.text or event.tool_calls or event.logprobs or role:
            calls = [tool_call_delta(call) for call in event.tool_calls] or None
            # Clients that print content without looking expect a string at first.
            content = event.text or ("" if role and not calls else None)
            delta = chat.DeltaMessage(
                role="assistant" if role else None, content=content, tool_calls=calls
            )
            out.append(self._chunk(event.choice, delta, event.logprobs))
        if event.finish_reason:
            out.append(self._chunk(event.choice, chat.DeltaMessage(), (), event.finish_reason))
        return out

    def _chunk(
        self,
        index: int,
        delta: chat.DeltaMessage,
        logprobs: Sequence[TextLogprob],
        finish_reason: str | None = None,
    ) -> chat.ChatCompletionChunk:
        choice = chat.ChunkChoice(
            index=index,
            delta=delta,
            logprobs=chat_logprobs(logprobs) if logprobs else None,
            finish_reason=finish_reason,
        )
        return chat.ChatCompletionChunk(
            id=self.id, created=self.created, model=self.model, choices=[choice]
        )

    def usage_chunk(self, usage: Usage) -> chat.ChatCompletionChunk:
        return chat.ChatCompletionChunk(
            id=self.id, created=self.created, model=self.model, choices=[], usage=usage
        )

    def response(self, choices: Sequence[Choice], usage: Usage) -> chat.ChatCompletion:
        return chat.ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.model,
            choices=[chat_choice(choice) for choice in choices],
            usage=usage,
        )


def chat_choice(choice: Choice) -> chat.Choice:
    calls = [call for event in choice.events for call in event.tool_calls]
    logprobs = [entry for event in choice.events for entry in event.logprobs]
    message = chat.AnswerMessage(
        content=choice.text if choice.text or not calls else None,
        tool_calls=[tool_call(call) for call in calls] or None,
    )
    return chat.Choice(
        index=choice.index,
        message=message,
        logprobs=chat_logprobs(logprobs) if logprobs else None,
        finish_reason=choice.finish_reason,
    )


def tool_call(call: ToolCall) -> chat.ToolCallOut:
    function = chat.FunctionCall(name=call.name, arguments=call.arguments)
    return chat.ToolCallOut(id=call.id, function=function)


def tool_call_delta(call: ToolCall) -> chat.ToolCallDelta:
    function = chat.FunctionCall(name=call.name, arguments=call.arguments)
    return chat.ToolCallDelta(index=call.index, id=call.id, function=function)


def chat_logprobs(entries: Sequence[TextLogprob]) -> chat.Logprobs:
    def top(token: bytes, logprob: float) -> chat.TopLogprob:
        return chat.TopLogprob(token=readable(token), logprob=logprob, bytes=list(token))

    content = [
        chat.TokenLogprob(
            **dict(top(e.token, e.logprob)), top_logprobs=[top(t, value) for t, value in e.top]
        )
        for e in entries
    ]
    return chat.Logprobs(content=content)


class Offsets:
    """Where in an answer's text each token begins."""

    def __init__(self) -> None:
        self._characters = getincrementaldecoder("utf-8")("replace")
        self._length = 0

    def add(self, token: bytes) -> int:
        begins = self._length
        self._length += len(self._characters.decode(token))
        return begins


@dataclass
class CompletionShape:
    operation: ClassVar[str] = "text_completion"
    id: str
    model: str
    created: int
    _offsets: dict[int, Offsets] = field(default_factory=lambda: defaultdict(Offsets))

    def chunks(self, event: TextEvent) -> list[completions.Completion]:
        choice = completions.Choice(
            index=event.choice,
            text=event.text,
            logprobs=completion_logprobs(event.logprobs, self._offsets[event.choice]),
            finish_reason=event.finish_reason,
        )
        return [self._completion([choice])]

    def usage_chunk(self, usage: Usage) -> completions.Completion:
        return self._completion([], usage)

    def response(self, choices: Sequence[Choice], usage: Usage) -> completions.Completion:
        return self._completion([completion_choice(choice) for choice in choices], usage)

    def _completion(
        self, choices: list[completions.Choice], usage: Usage | None = None
    ) -> completions.Completion:
        return completions.Completion(
            id=self.id, created=self.created, model=self.model, choices=choices, usage=usage
        )


def completion_choice(choice: Choice) -> completions.Choice:
    logprobs = [entry for event in choice.events for entry in event.logprobs]
    return completions.Choice(
        index=choice.index,
        text=choice.text,
        logprobs=completion_logprobs(logprobs, Offsets()),
        finish_reason=choice.finish_reason,
    )


def completion_logprobs(
    entries: Sequence[TextLogprob], offsets: Offsets
) -> completions.Logprobs | None:
    if not entries:
        return None
    return completions.Logprobs(
        tokens=[e.text for e in entries],
        token_logprobs=[e.logprob for e in entries],
        top_logprobs=[{readable(token): logprob for token, logprob in e.top} for e in entries],
        text_offset=[offsets.add(e.token) for e in entries],
    )
