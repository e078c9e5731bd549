"""How a prompt is continued that is not a chat."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from raylax.proto.openai.body import validated
from raylax.proto.openai.completions import CompletionRequest

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
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: int | None = None
    """How many of the likeliest tokens are told beside each; None: nothing."""
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False

    def body(self, prompt: Prompt) -> CompletionRequest:
        """The same as a request. Raises InvalidRequest with the field that is wrong."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        told = prompt if isinstance(prompt, str) else list(prompt)
        return validated(CompletionRequest, {"prompt": told, **given})


def several(prompts: Prompt | Sequence[Prompt]) -> list[Prompt]:
    """One prompt, as a text or as ids, or several of them, as a list."""
    if isinstance(prompts, str):
        return [prompts]
    if all(isinstance(one, int) for one in prompts):
        return [list(prompts)]  # type: ignore[arg-type]
    return list(prompts)  # type: ignore[arg-type]
