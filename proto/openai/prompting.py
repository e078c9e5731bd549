"""The fields that say how messages become a prompt, and what becomes of what a model thinks first,
in every API that has messages."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from raylax.proto import ranges
from raylax.proto.openai.body import BoundedList, StrictModel
from raylax.proto.openai.field_rules import FieldTable
from raylax.proto.openai.fields import REASONING, THINKING

MOST_DOCUMENTS = 1024
MOST_TOLD = 64
OF_THE_REQUEST = (
    "messages", "tools", "documents", "chat_template", "add_generation_prompt",
    "continue_final_message",
)  # fmt: skip
"""What a template is told by fields of the request, and not by `chat_template_kwargs`."""
Name = Annotated[str, StringConstraints(max_length=64)]
NOT_AT_ALL = "none"
"""The effort of who wants no thoughts."""
Budget = Annotated[int, Field(ge=0, le=ranges.MOST_COUNTED)]
"""Tokens of a thought, behind which its end is said."""


class PromptFields(StrictModel):
    """How the chat template is asked. The names are those of transformers and vLLM."""

    chat_template: str | None = None
    """The name of one of the model's own: a template is a program, which is not taken from
    clients."""
    chat_template_kwargs: Annotated[dict[Name, Any], Field(max_length=MOST_TOLD)] | None = None
    """More variables for the template."""
    reasoning_effort: Name | None = None
    enable_thinking: bool | None = None
    """Whether the model is to think first, for templates that let it be chosen."""
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
    def effort(self) -> str | None:
        """How much the model is to think."""
        return self.reasoning_effort

    @property
    def thinks(self) -> bool | None:
        """Whether it is to think at all; None: as its template has it."""
        if self.enable_thinking is None and self.effort == NOT_AT_ALL:
            return False
        return self.enable_thinking

    @property
    def told(self) -> dict[str, Any]:
        """The variables for the template that only the client knows."""
        known = {
            "reasoning_effort": self.effort,
            "enable_thinking": self.thinks,
            "thinking": self.thinks,  # as DeepSeek's and Granite's templates call it
        }
        said = {name: value for name, value in known.items() if value is not None}
        return said | (self.chat_template_kwargs or {})

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


class Reasoning(StrictModel):
    """OpenAI's Responses API has the effort, OpenRouter's chats have all of it."""

    not_here: ClassVar[FieldTable] = REASONING
    effort: Name | None = None
    """As `reasoning_effort`."""
    enabled: bool | None = None
    """As `enable_thinking`."""
    exclude: bool = False
    """Whether thoughts are not told."""
    max_tokens: Budget | None = None
    """As `thinking_budget`."""


class Thinking(StrictModel):
    """Anthropic's, and that of chats at DeepSeek, Moonshot and Z.ai."""

    not_here: ClassVar[FieldTable] = THINKING
    type: Literal["enabled", "disabled", "adaptive"]
    """adaptive: as the template has it."""
    budget_tokens: Annotated[int, Field(ge=1, le=ranges.MOST_COUNTED)] | None = None
    """As `thinking_budget`."""


class ThinkingFields(PromptFields):
    """What becomes of a model's thoughts. Those without a comment are SGLang's and vLLM's."""

    separate_reasoning: bool = True
    """Whether they are told apart from what is said; else they stay in the text, with their
    marks."""
    include_reasoning: bool = True
    """Whether they are told at all."""
    thinking_budget: Budget | None = None
    thinking_token_budget: Budget | None = None
    """The same by vLLM's name."""
    reasoning: Reasoning | None = None
    """OpenRouter's."""
    thinking: Thinking | None = None
    """Anthropic's."""

    @property
    def effort(self) -> str | None:
        if self.reasoning_effort is None and self.reasoning is not None:
            return self.reasoning.effort
        return self.reasoning_effort

    @property
    def thinks(self) -> bool | None:
        if (said := super().thinks) is not None:
            return said
        if self.thinking is not None and self.thinking.type != "adaptive":
            return self.thinking.type == "enabled"
        return None if self.reasoning is None else self.reasoning.enabled

    @property
    def most_thought(self) -> int | None:
        """Tokens of a thought at most, by the first of the fields that says so."""
        said = (
            self.thinking_budget,
            self.thinking_token_budget,
            None if self.reasoning is None else self.reasoning.max_tokens,
            None if self.thinking is None else self.thinking.budget_tokens,
        )
        return next((one for one in said if one is not None), None)

    @property
    def tells_thoughts(self) -> bool:
        """Whether thoughts are told."""
        excluded = self.reasoning is not None and self.reasoning.exclude
        return self.include_reasoning and not excluded

    def thinking_fields(self) -> dict[str, Any]:
        """The fields that are not those of a prompt, for a body of another API."""
        names = ThinkingFields.model_fields.keys() - PromptFields.model_fields.keys()
        return {name: getattr(self, name) for name in names}
