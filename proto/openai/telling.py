"""The fields that say how much of an answer is told, and of its prompt is read."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from raylax.proto import ranges
from raylax.proto.openai.body import StrictModel

ALL_THAT_FIT = -1
TopLogprobs = Annotated[int, Field(ge=ranges.TOP_LOGPROBS.least, le=ranges.TOP_LOGPROBS.most)]


def false_is_none(given: Any) -> Any:
    """In some APIs a field is false that is a number in others."""
    return None if given is False else given


class PromptLogprob(BaseModel):
    """Of one token at one place of a prompt."""

    logprob: float
    rank: int | None
    """From 1, where it is among those that were looked for."""
    decoded_token: str


PromptLogprobs = list[dict[int, PromptLogprob] | None]
"""By ids, for each place of a prompt; None for the first one."""


def count_or_all(given: int) -> int:
    """A number of tokens to be kept."""
    if given == 0:
        raise ValueError("must be a number of tokens, or -1 for all that fit")
    return given


class TruncationFields(StrictModel):
    """How a prompt is cut that is too long. The names are vLLM's."""

    truncate_prompt_tokens: (
        Annotated[int, Field(ge=ALL_THAT_FIT, le=ranges.MOST_COUNTED), AfterValidator(count_or_all)]
        | None
    ) = None
    """How many tokens of a prompt are kept at most; -1: as many as leave room for the answer."""
    truncation_side: Literal["left", "right"] = "left"
    """Where it is cut."""

    @property
    def truncates(self) -> bool:
        """Whether no prompt is too long."""
        return self.truncate_prompt_tokens is not None

    def cut(self, ids: Sequence[int], fitting: int) -> Sequence[int]:
        """What is kept of a prompt's ids. `fitting`: tokens that leave room for the answer."""
        kept = self.truncate_prompt_tokens
        if kept is None or len(ids) <= (most := fitting if kept == ALL_THAT_FIT else kept):
            return ids
        return ids[len(ids) - most :] if self.truncation_side == "left" else ids[:most]


class TellingFields(TruncationFields):
    """What chat completions and completions tell. The names are vLLM's."""

    include_stop_str_in_output: bool = False
    """Whether the stop string that ends an answer is the end of its text."""
    skip_special_tokens: bool = True
    """Whether special tokens are left out of the text; else their names are in it."""
    return_token_ids: bool = False
    """Whether the ids of the tokens are told, too: of the prompt, and of the answer."""
    prompt_logprobs: Annotated[TopLogprobs | None, BeforeValidator(false_is_none)] = None
    """Of so many of the likeliest tokens at each place of the prompt log-probabilities are told,
    and of its own."""

    def check_telling(self, stop_token_ids: Any, stream: bool) -> None:
        """Raises ValueError for fields that exclude each other."""
        if self.prompt_logprobs is not None and stream:
            raise ValueError("prompt_logprobs: only allowed when stream is false")
        if self.include_stop_str_in_output and stop_token_ids:
            raise ValueError(
                "include_stop_str_in_output: the tokens of stop_token_ids are part of no answer; "
                "leave it out, or use stop"
            )
