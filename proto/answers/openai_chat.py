"""Answers of OpenAI's /v1/chat/completions."""

from collections.abc import Sequence
from typing import Any

from raylax.proto.answers.openai_chunks import ChunkWriter, filled
from raylax.proto.answers.prompt_scores import prompt_scores
from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent, TextLogprob, readable
from raylax.proto.openai import chat
from raylax.proto.parsers.base import CallBegun, CallPiece, Content, Thought, ToolCall


class ChatWriter(ChunkWriter):
    """Writes chunks of which a choice's first one has the role; its end is one of its own, as with
    OpenAI."""

    def __init__(
        self,
        call: Call,
        model: str,
        created: int,
        include_usage: bool = False,
        counts_on: bool = False,
    ) -> None:
        """`created`: the time that all chunks say, in seconds of the epoch. `counts_on`: each of
        them has the usage so far."""
        super().__init__(call, counts_on)
        self._model, self._created, self._include_usage = model, created, include_usage
        self._kind = chat.CountedChunk if include_usage else chat.ChatCompletionChunk
        self._greeted: set[int] = set()

    def chunks(self, event: TextEvent) -> list[chat.ChatCompletionChunk]:
        deltas = [delta for one in event.in_order if (delta := delta_of(one)) is not None]
        first, begins = event.choice not in self._greeted, not self._greeted
        if (first or event.logprobs or event.token_ids) and not deltas:
            # Clients that print content without looking expect a string at first.
            deltas.append(chat.DeltaMessage(content="" if first else None))
        if first:
            self._greeted.add(event.choice)
            deltas[0].role = "assistant"
        out = [
            self._chunk(event.choice, delta, () if at else event.logprobs)
            for at, delta in enumerate(deltas)
        ]
        if event.finish_reason:
            out.append(self._chunk(event.choice, chat.DeltaMessage(), (), event.finish_reason))
        if event.token_ids:
            out[0].choices[0].token_ids = list(event.token_ids)
        if begins:
            out[0].prompt_token_ids = self.call.prompt_told(0)
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
            logprobs=chat.Logprobs(content=list(map(token_logprob, logprobs)))
            if logprobs
            else None,
            finish_reason=finish_reason,
        )
        return self._kind(
            id=self.call.id,
            created=self._created,
            model=self._model,
            choices=[choice],
            usage=self.call.usage if self._counts_on else None,
        )

    def last_chunks(self) -> list[chat.ChatCompletionChunk]:
        if not self._include_usage:
            return []
        chunk = self._kind(
            id=self.call.id,
            created=self._created,
            model=self._model,
            choices=[],
            usage=self.call.usage,
        )
        return [chunk]

    def response(self) -> chat.ChatCompletion:
        return self._response([chat_choice(choice) for choice in self.call.ended_parts(Choice)])

    def whole(self) -> bytes:
        """As `response`, written piece by piece."""
        choices = map(choice_written, self.call.ended_parts(Choice))
        return filled(self._response([]).model_dump_json().encode(), b"choices", choices)

    def _response(self, choices: list[chat.Choice]) -> chat.ChatCompletion:
        return chat.ChatCompletion(
            id=self.call.id,
            created=self._created,
            model=self._model,
            choices=choices,
            usage=self.call.usage,
            prompt_token_ids=self.call.prompt_told(0),
            prompt_logprobs=prompt_scores(self.call, 0),
        )


def chat_choice(choice: Choice) -> chat.Choice:
    return choice_of(choice, [token_logprob(entry) for entry in choice.logprob_entries])


def choice_written(choice: Choice) -> bytes:
    """As `chat_choice`, with not all of its log-probabilities in memory."""
    written = choice_of(choice, []).model_dump_json().encode()
    if not (entries := choice.logprob_entries):
        return written
    nothing = chat.Logprobs(content=[]).model_dump_json().encode()
    written = written.replace(b'"logprobs":null', b'"logprobs":' + nothing, 1)
    return filled(
        written, b"content", (token_logprob(e).model_dump_json().encode() for e in entries)
    )


def choice_of(choice: Choice, logprobs: list[chat.TokenLogprob]) -> chat.Choice:
    said = choice.said
    calls = [one for one in said if isinstance(one, ToolCall)]
    thought = "".join([one.text for one in said if isinstance(one, Thought)]) or None
    text = "".join([one for one in said if isinstance(one, str)])
    message = chat.AnswerMessage(
        content=text if text or not (calls or thought) else None,
        reasoning_content=thought,
        reasoning=thought,
        tool_calls=[tool_call(call) for call in calls] or None,
    )
    return chat.Choice(
        index=choice.index,
        message=message,
        logprobs=chat.Logprobs(content=logprobs) if logprobs else None,
        finish_reason=choice.finish_reason,
        token_ids=choice.token_ids,
    )


def tool_call(call: ToolCall) -> chat.ToolCallOut:
    function = chat.FunctionCall(name=call.name, arguments=call.arguments)
    return chat.ToolCallOut(id=call.id, function=function)


def delta_of(one: Content) -> chat.DeltaMessage | None:
    """What is new in a chunk; None for what this API does not say: the end of a call."""
    match one:
        case str():
            return chat.DeltaMessage(content=one)
        case Thought(text):
            return chat.DeltaMessage(reasoning_content=text, reasoning=text)
        case CallBegun(index, id, name):
            function = chat.FunctionDelta(name=name, arguments="")
            return calling(index, function, id=id, type="function")
        case CallPiece(index, arguments):
            return calling(index, chat.FunctionDelta(arguments=arguments))
    return None


def calling(index: int, function: chat.FunctionDelta, **begun: Any) -> chat.DeltaMessage:
    call = chat.ToolCallDelta(index=index, function=function, **begun)
    return chat.DeltaMessage(tool_calls=[call])


def token_logprob(entry: TextLogprob) -> chat.TokenLogprob:
    def top(token: bytes, logprob: float) -> chat.TopLogprob:
        return chat.TopLogprob(token=readable(token), logprob=logprob, bytes=list(token))

    return chat.TokenLogprob(
        **dict(top(entry.token, entry.logprob)),
        top_logprobs=[top(t, value) for t, value in entry.top],
    )
