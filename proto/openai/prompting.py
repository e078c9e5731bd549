"""The fields that say how messages become a prompt, in every API that has messages."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from raylax.proto.openai.body import BoundedList, StrictModel

MOST_DOCUMENTS = 1024
MOST_TOLD = 64
OF_THE_REQUEST = (
    "messages", "tools", "documents", "chat_template", "add_generation_prompt",
    "continue_final_message",
)  # fmt: skip
"""What a template is told by fields of the request, and not by `chat_template_kwargs`."""
Name = Annotated[str, StringConstraints(max_length=64)]


class PromptFields(StrictModel):
    """How the chat template is asked. The names are those of transformers and vLLM."""

    chat_template: str | None = None
    """The name of one of the model's own: a template is a program, which is not taken from
    clients."""
    chat_template_kwargs: Annotated[dict[Name, Any], Field(max_length=MOST_TOLD)] | None = None
    """More variables for the template."""
    reasoning_effort: Name | None = None
    documents: Annotated[list[dict[str, Any]], BoundedList(MOST_DOCUMENTS)] | None = None
    add_generation_prompt: bool | None = None
    """Whether the assistant's turn is begun; by default it is, unless its message is continued."""
    continue_final_message: bool = False
    add_special_tokens: bool | None = None
    """Whether the tokenizer adds its own to the prompt; by default the template writes them."""
    special_tokens_in_content: bool = False
    """Whether the text of a special token in a message is that token. It is text by default."""

    @property
    def begins_a_turn(self) -> bool:
        """Whether the prompt ends with the beginning of the assistant's turn."""
        asked = self.add_generation_prompt
        return not self.continue_final_message if asked is None else asked

    @property
    def told(self) -> dict[str, Any]:
        """The variables for the template that only the client knows."""
        effort = self.reasoning_effort
        known = {} if effort is None else {"reasoning_effort": effort}
        return known | (self.chat_template_kwargs or {})

    def prompt_fields(self) -> dict[str, Any]:
        """These fields, for a body of another API."""
        return {name: getattr(self, name) for name in PromptFields.model_fields}

    @model_validator(mode="after")
    def _check_prompt(self) -> Self:
        if self.continue_final_message and self.add_generation_prompt:
            raise ValueError(
                "continue_final_message: only allowed when add_generation_prompt is false or left "
                "out; the prompt ends in the last message, or begins the next one"
            )
        if taken := next((n for n in OF_THE_REQUEST if n in (self.chat_template_kwargs or ())), ""):
            raise ValueError(f"chat_template_kwargs: {taken} is a field of the request")
        return self
