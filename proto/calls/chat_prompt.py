"""From the messages of a chat to its prompt, by a model's templates."""

from dataclasses import dataclass

from raylax.proto.characters import whole_characters
from raylax.proto.errors import InvalidRequest
from raylax.proto.openai.chat import ChatCompletionRequest
from raylax.proto.text.chat_template import ChatTemplate, ChatTemplates
from raylax.proto.text.quoting import Prompt
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.warnings import warn


@dataclass(frozen=True)
class ChatPrompts:
    """Makes the prompts of one model, called `model`."""

    model: str
    tokenizer: Tokenizer
    templates: ChatTemplates
    tools_must_show: bool
    """Whether tools are refused that the template does not show; else there is a warning."""

    def of(self, body: ChatCompletionRequest, field: str) -> Prompt:
        """The prompt, and where in it clients wrote what looks like a special token. Raises
        InvalidRequest, which names `field` for what is wrong with the messages."""
        template = self._template_for(body, field)
        messages = [message.for_template() for message in body.messages]
        tools = [tool.for_template() for tool in body.offered]
        given, marks = (messages, tools, body.documents or []), None
        if not body.special_tokens_in_content:
            avoid = f"{template.source}{body.told}"
            given, marks = self.tokenizer.special_texts.quoted(*given, avoid=avoid)
        rendered = template.render(
            given[0],
            given[1],
            field,
            documents=given[2],
            begin_turn=body.begins_a_turn,
            continue_last=body.continue_final_message,
            told=body.told,
        )
        text = whole_characters(rendered)
        return Prompt(text) if marks is None else marks.taken_out(text)

    def _template_for(self, body: ChatCompletionRequest, field: str) -> ChatTemplate:
        """The template that is asked for, which must show what it is given."""
        if not self.templates.named:
            raise InvalidRequest(
                f"{self.model} has no chat template; use /v1/completions", param=field
            )
        template = self.templates.chosen(
            body.chat_template, bool(body.offered), bool(body.documents)
        )
        if body.documents and not template.asks_for("documents"):
            raise InvalidRequest(
                f"documents: the chat template of {self.model} shows no documents; put them into a "
                "message",
                param="documents",
            )
        if body.offered and not template.shows_tools:
            unseen = (
                f"tools: the chat template of {self.model} shows no tools, so the model does not "
                "know of them"
            )
            if self.tools_must_show:
                raise InvalidRequest(unseen, param="tools")
            warn(unseen)
        return template
