"""How a prompt is continued that is not a chat."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raylax.proto.openai.body import validated
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.openai.shared import SamplingFields
from raylax.proto.vocabulary import Request

Prompt = str | Sequence[int]


@dataclass(frozen=True)
class GenerationConfig:
    """How a prompt is continued, by the fields of /v1/completions; None: as the model's files say,
    and of `max_tokens`, as long as a sequence may be."""

    n: int = 1
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[int, float] | Mapping[str, float] | None = None
    allowed_token_ids: list[int] | None = None
    bad_words: list[str] | None = None
    min_tokens: int | None = None
    logprobs: int | None = None
    """How many of the likeliest tokens are told beside each; None: nothing."""
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    response_format: dict[str, Any] | None = None
    debug_config: dict[str, Any] | None = None
    """What MLC-LLM has for who looks into an engine, as `pinned_system_prompt`."""

    def body(self, prompt: Prompt) -> CompletionRequest:
        """The same as a request. Raises InvalidRequest with the field that is wrong."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if isinstance(bias := given.get("logit_bias"), dict):  # in JSON, keys are strings
            given["logit_bias"] = {str(token): value for token, value in bias.items()}
        told = list(prompt) if is_list(prompt) else prompt
        return validated(CompletionRequest, {"prompt": told, **given})


def is_list(given: object) -> bool:
    """Whether it has members, of which a text is none."""
    return isinstance(given, Iterable) and not isinstance(given, str | bytes)


def several(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    """One prompt, as a text or as ids, or several of them, as a list."""
    given: Any = prompts
    if not is_list(given):
        return [given]
    listed = list(given)
    return [listed] if all(isinstance(one, int) for one in listed) else listed


def asked_of(body: SamplingFields, request: Request) -> dict[str, Any]:
    """How an answer is drawn, all of it: for an engine that echoes, whose caller wants to see what
    has come there of what he said."""
    drawn = asdict(request.sampling)
    return drawn | {
        "n": body.n,
        "max_tokens": request.max_tokens,
        "stop": body.stops,
        "stop_token_ids": sorted(request.stop_token_ids),
        "logit_bias": {str(token): bias for token, bias in request.sampling.logit_bias},
    }
