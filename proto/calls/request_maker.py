"""Makes the requests of a call: one for each answer, or for each vector, that it asks for."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raylax.proto.calls.prompt_ids import PromptIds
from raylax.proto.calls.sampling_defaults import SamplingDefaults
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.embeddings import VectorFields
from raylax.proto.openai.shared import SamplingFields
from raylax.proto.pages import root_of
from raylax.proto.text.labels import WRITES_NOTHING
from raylax.proto.vocabulary import CallOrigin, Priority, Request, Sampling


@dataclass(frozen=True)
class RequestMaker:
    """Knows what a model's sequences may have, and how they are drawn where nobody says."""

    prompt_ids: PromptIds
    defaults: SamplingDefaults
    end_token_ids: frozenset[int]
    rng: random.Random
    """Draws the seeds of requests that bring none."""
    encode: Callable[[str], list[int]]
    """The ids of a piece of a text."""
    writes: bool = True
    """Whether there are tokens to draw; else the model has labels for texts."""

    def check_writes(self) -> None:
        """Raises InvalidRequest for a model that has no answers."""
        if not self.writes:
            raise InvalidRequest(WRITES_NOTHING)

    def drawn(
        self,
        call_id: str,
        prompts: Sequence[Sequence[int]],
        body: SamplingFields,
        top_logprobs: int | None,
        max_tokens: int | None,
        field: str,
        origin: CallOrigin,
        grammar: str = "",
        grammar_after: tuple[int, ...] = (),
    ) -> list[Request]:
        """For the answers to each prompt, which came in this field, in a grammar, if there is one,
        that begins behind these tokens. Raises InvalidRequest."""
        self.check_writes()
        self.prompt_ids.check_ids([*map(int, body.logit_bias or ())], "logit_bias")
        self.prompt_ids.check_ids(body.allowed_token_ids or (), "allowed_token_ids")
        if max_tokens is not None and body.min_tokens > max_tokens:
            raise InvalidRequest(
                f"min_tokens: must be at most the answer's {max_tokens} tokens, "
                f"found {body.min_tokens}",
                param="min_tokens",
            )
        samplings = self._samplings(body, len(prompts), top_logprobs)
        if grammar:
            samplings = [
                replace(one, grammar=grammar, grammar_after=grammar_after) for one in samplings
            ]
        # behind what a grammar describes nothing can follow but an end
        ends = frozenset() if body.ignore_eos and not grammar else self.end_token_ids
        stops = ends | frozenset(body.stop_token_ids or ())
        of_caller = of_origin(origin, body.priority, body.timeout, body.cache_salt)
        room = self.prompt_ids.room
        fitting = [(tuple(ids), room(ids, max_tokens, field)) for ids in prompts]
        return [
            Request(
                id=f"{call_id}/{p}/{choice}",
                prompt=prompt,
                max_tokens=most,
                sampling=samplings[p],
                choice=choice,
                stop_token_ids=stops,
                pin=body.pins_prompt,
                **of_caller,
            )
            for p, (prompt, most) in enumerate(fitting)
            for choice in range(body.drawn)
        ]

    def embedded(
        self,
        call_id: str,
        inputs: Sequence[Sequence[int]],
        fields: Sequence[str],
        body: VectorFields,
        origin: CallOrigin,
        logits_of: tuple[int, ...] = (),
    ) -> list[Request]:
        """For a vector of each input, which came in these fields. `logits_of`: not of its state,
        but of the logits of these tokens behind it. Raises InvalidRequest."""
        of_caller = of_origin(origin, body.priority, body.timeout, body.cache_salt)
        return [
            Request(
                id=f"{call_id}/{index}/0",
                prompt=tuple(ids),
                max_tokens=self.prompt_ids.room(ids, 1, field),
                embed=True,
                logits_of=logits_of,
                **of_caller,
            )
            for index, (ids, field) in enumerate(zip(inputs, fields, strict=True))
        ]

    def _samplings(
        self, body: SamplingFields, prompts: int, top_logprobs: int | None
    ) -> list[Sampling]:
        """How the answers to each prompt are drawn: by the client's seed, or by one for each of
        them, so that equal prompts have answers of their own. Its choices are told apart by their
        index."""
        given, vocab = body.seed, self.prompt_ids.vocab
        bad_words = phrases_of(body.bad_words or (), self.encode)
        seeds = [self.rng.getrandbits(63) if given is None else given for _ in range(prompts)]
        filled = (self.defaults.fill_in(body, vocab, seed, top_logprobs) for seed in seeds)
        return [replace(one, bad_words=bad_words) for one in filled]


def phrases_of(
    words: Sequence[str], encode: Callable[[str], list[int]]
) -> tuple[tuple[int, ...], ...]:
    """Their tokens, as they begin a text and as they follow a space, which may be others."""
    spelled = [before + word.lstrip() for word in words for before in ("", " ")]
    phrases = (tuple(encode(text)) for text in spelled)
    return tuple(dict.fromkeys(phrase for phrase in phrases if phrase))


def of_origin(
    origin: CallOrigin, priority: Priority, timeout_s: float | None, cache_salt: str | None
) -> dict[str, Any]:
    """The fields of a request that its caller decides, some of them with what the body asks for."""
    return {
        "tenant": origin.tenant,
        "share": origin.share,
        "priority": origin.priority_of(priority),
        "deadline_s": origin.soonest(timeout_s),
        "traceparent": origin.traceparent,
        "tracestate": origin.tracestate,
        "page_root": root_of(origin.pages_within, cache_salt or ""),
    }
