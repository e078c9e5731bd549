"""The fields that say how much of an answer is told, and of its prompt: none of them changes what
tokens are drawn."""

from typing import Any

from raylax.proto.openai.body import StrictModel


class TellingFields(StrictModel):
    """What chat completions and completions tell. The names are vLLM's."""

    include_stop_str_in_output: bool = False
    """Whether the stop string that ends an answer is the end of its text."""
    skip_special_tokens: bool = True
    """Whether special tokens are left out of the text; else their names are in it."""

    def check_telling(self, stop_token_ids: Any) -> None:
        """Raises ValueError for fields that exclude each other."""
        if self.include_stop_str_in_output and stop_token_ids:
            raise ValueError(
                "include_stop_str_in_output: the tokens of stop_token_ids are part of no answer; "
                "leave it out, or use stop"
            )
