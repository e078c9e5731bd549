"""Answers of OpenAI's /v1/completions."""

from codecs import getincrementaldecoder
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pydantic_core import to_json

from raylax.proto.answers.openai_chunks import ChunkWriter, filled
from raylax.proto.answers.prompt_scores import prompt_scores
from raylax.proto.calls.call import Call
from raylax.proto.calls.choice import Choice
from raylax.proto.calls.events import TextEvent, TextLogprob
from raylax.proto.openai import completions
from raylax.proto.openai.shared import Usage
from raylax.proto.openai.telling import PromptLogprobs


class OfPrompt(NamedTuple):
    """What is told of the prompt of a choice."""

    ids: list[int] | None
    scores: PromptLogprobs | None


class CompletionWriter(ChunkWriter):
    """Writes chunks that are completions of what is new alone."""

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
        self._offsets: dict[int, Offsets] = defaultdict(Offsets)

    def chunks(self, event: TextEvent) -> list[completions.Completion]:
        first = event.choice not in self._offsets
        choice = completions.Choice(
            index=event.choice,
            text=event.text,
            logprobs=completion_logprobs(event.logprobs, self._offsets[event.choice]),
            finish_reason=event.finish_reason,
            token_ids=list(event.token_ids) or None,
            prompt_token_ids=self.call.prompt_told(event.choice) if first else None,
        )
        return [self._completion([choice], self.call.usage if self._counts_on else None)]

    def last_chunks(self) -> list[completions.Completion]:
        return [self._completion([], self.call.usage)] if self._include_usage else []

    def whole(self) -> bytes:
        """As `response`, written piece by piece."""
        choices = map(choice_written, self.call.best_parts(), self._prompts())
        written = self._completion([], self.call.usage).model_dump_json().encode()
        return filled(written, b"choices", choices)

    def response(self) -> completions.Completion:
        choices = map(completion_choice, self.call.best_parts(), self._prompts())
        return self._completion(list(choices), self.call.usage)

    def _prompts(self) -> Iterator[OfPrompt]:
        """Of each choice what is told of its prompt."""
        for choice in range(len(self.call.requests) // self.call.drawn * self.call.kept):
            first = self.call.first_of(choice)
            yield OfPrompt(self.call.prompt_told(first), prompt_scores(self.call, first))

    def _completion(
        self, choices: list[completions.Choice], usage: Usage | None = None
    ) -> completions.Completion:
        return completions.Completion(
            id=self.call.id,
            created=self._created,
            model=self._model,
            choices=choices,
            usage=usage,
        )


class Offsets:
    """Finds where in an answer's text each token begins."""

    def __init__(self) -> None:
        self._characters = getincrementaldecoder("utf-8")("replace")
        self._length = 0

    def add(self, token: bytes) -> int:
        begins = self._length
        self._length += len(self._characters.decode(token))
        return begins


def completion_choice(choice: Choice, prompt: OfPrompt) -> completions.Choice:
    return choice_of(choice, prompt, completion_logprobs(choice.logprob_entries, Offsets()))


def choice_written(choice: Choice, prompt: OfPrompt) -> bytes:
    """As `completion_choice`, with not all of its log-probabilities in memory."""
    entries = choice.logprob_entries
    if not entries:
        return choice_of(choice, prompt, None).model_dump_json().encode()
    empty = completions.Logprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
    written, offsets = choice_of(choice, prompt, empty).model_dump_json().encode(), Offsets()
    lists: dict[bytes, Iterable[object]] = {
        b"tokens": (named(e.token) for e in entries),
        b"token_logprobs": (value_of(e) for e in entries),
        b"top_logprobs": (top_of(e) for e in entries),
        b"text_offset": (offsets.add(e.token) for e in entries),
    }
    for name, values in lists.items():
        written = filled(written, name, map(to_json, values))
    return written


def choice_of(
    choice: Choice, prompt: OfPrompt, logprobs: completions.Logprobs | None
) -> completions.Choice:
    return completions.Choice(
        index=choice.index,
        text=choice.text,
        logprobs=logprobs,
        finish_reason=choice.finish_reason,
        token_ids=choice.token_ids,
        prompt_token_ids=prompt.ids,
        prompt_logprobs=prompt.scores,
    )


def completion_logprobs(
    entries: Sequence[TextLogprob], offsets: Offsets
) -> completions.Logprobs | None:
    if not entries:
        return None
    return completions.Logprobs(
        tokens=[named(e.token) for e in entries],
        token_logprobs=[value_of(e) for e in entries],
        top_logprobs=[top_of(e) for e in entries],
        text_offset=[offsets.add(e.token) for e in entries],
    )


def value_of(entry: TextLogprob) -> float | None:
    return None if entry.follows_nothing else entry.logprob


def top_of(entry: TextLogprob) -> dict[str, float] | None:
    return None if entry.follows_nothing else by_name(entry.top)


def named(token: bytes) -> str:
    """A token's text, or its bytes where they are no text by themselves, as OpenAI writes them."""
    try:
        return token.decode()
    except UnicodeDecodeError:
        return bytes_named(token)


def bytes_named(token: bytes) -> str:
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)


def by_name(top: Sequence[tuple[bytes, float]]) -> dict[str, float]:
    """Tokens of equal text stay apart: the second one is named by its bytes, others by a number,
    too."""
    found: dict[str, float] = {}
    for token, logprob in top:
        name, number = named(token), 1
        while name in found:
            name = bytes_named(token) + (f"#{number}" if number > 1 else "")
            number += 1
        found[name] = logprob
    return found
