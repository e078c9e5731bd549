"""The fields that say how much of an answer is told, and of its prompt is read."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from raylax.proto import ranges
from raylax.proto.openai.body import StrictModel

ALL_THAT_FIT = -1


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

    def check_telling(self, stop_token_ids: Any) -> None:
        """Raises ValueError for fields that exclude each other."""
        if self.include_stop_str_in_output and stop_token_ids:
            raise ValueError(
                "include_stop_str_in_output: the tokens of stop_token_ids are part of no answer; "
                "leave it out, or use stop"
            )
