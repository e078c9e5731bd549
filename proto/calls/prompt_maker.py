"""From messages and texts to the ids of prompts, by a model's templates and its tokenizer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from raylax.proto.calls.prompt_work import ChatWork, TextsWork, texts_in
from raylax.proto.characters import whole_characters
from raylax.proto.errors import InvalidRequest, PromptTooLong
from raylax.proto.openai.completions import CompletionRequest
from raylax.proto.text.chat_template import ChatTemplate, ChatTemplates
from raylax.proto.text.quoting import Prompt
from raylax.proto.text.tokenizer import Tokenizer
from raylax.proto.warnings import warn


def unheard(stage: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class PromptMaker:
    """Makes the prompts of one model, called `model`."""

    model: str
    tokenizer: Tokenizer
    templates: ChatTemplates

    def chat_ids(self, work: ChatWork, entered: Callable[[str], None] = unheard) -> list[int]:
        """The token ids of a chat's prompt. `entered` hears whose program runs from now on. Raises
        InvalidRequest, which names the field for what is wrong with the messages."""
        entered("chat template")
        prompt = self.prompt(work)
        entered("tokenizer")
        return self._encode(prompt, work.add_special_tokens, work.field, work.longest)

    def text_ids(
        self, work: TextsWork, entered: Callable[[str], None] = unheard
    ) -> list[list[int]]:
        """The token ids of each text. Raises PromptTooLong."""
        entered("tokenizer")
        return [
            self._encode(Prompt(text), work.add_special_tokens, field, work.longest)
            for text, field in zip(work.texts, places(work.field, len(work.texts)), strict=True)
        ]

    def prompt(self, work: ChatWork) -> Prompt:
        """The prompt that a chat template makes of the messages, and where in it clients wrote what
        looks like a special token."""
        template = self._template_for(work)
        given, marks = (work.messages, work.tools, work.documents), None
        if not work.special_tokens_in_content:
            avoid = f"{template.source}{work.told}"
            given, marks = self.tokenizer.special_texts.quoted(*given, avoid=avoid)
        rendered = template.render(
            given[0],
            given[1],
            work.field,
            documents=given[2],
            begin_turn=work.begin_turn,
            continue_last=work.continue_last,
            told=work.told,
        )
        text = whole_characters(rendered)
        return Prompt(text) if marks is None else marks.taken_out(text)

    def _encode(
        self, prompt: Prompt, add_special_tokens: bool, field: str, longest: int | None
    ) -> list[int]:
        """A text that cannot fit is refused by its length: tokenising megabytes takes seconds."""
        at_least = len(prompt.text) // self.tokenizer.longest_token
        if longest is not None and at_least >= longest:
            raise too_long(f"at least {at_least}", longest, field)
        ids = self.tokenizer.encode_prompt(prompt, add_special_tokens)
        if longest is not None and len(ids) >= longest:
            raise too_long(str(len(ids)), longest, field)
        return ids

    def _template_for(self, work: ChatWork) -> ChatTemplate:
        """The template that is asked for, which must show what it is given."""
        if not self.templates.named:
            raise InvalidRequest(
                f"{self.model} has no chat template; use /v1/completions", param=work.field
            )
        template = self.templates.chosen(work.template, bool(work.tools), bool(work.documents))
        if work.documents and not template.asks_for("documents"):
            raise InvalidRequest(
                f"documents: the chat template of {self.model} shows no documents; put them into a "
                "message",
                param="documents",
            )
        if work.tools and not template.shows_tools:
            unseen = (
                f"tools: the chat template of {self.model} shows no tools, so the model does not "
                "know of them"
            )
            if work.tools_must_show:
                raise InvalidRequest(unseen, param="tools")
            warn(unseen)
        return template


def places(field: str, count: int) -> list[str]:
    """What clients call each of so many texts of a field."""
    return [field] if count == 1 else [f"{field}.{at}" for at in range(count)]


def too_long(tokens: str, longest: int, field: str) -> PromptTooLong:
    """The error of a prompt that leaves no room for an answer."""
    return PromptTooLong(
        f"{field}: the prompt has {tokens} tokens, the limit is {longest - 1} (a sequence holds "
        f"{longest})",
        param=field,
    )


class Infilling(NamedTuple):
    """How a family fills in between a prompt and a suffix: around both stand tokens of its own, and
    what is filled in is written behind all."""

    before_prompt: str
    before_suffix: str
    last: str = ""
    suffix_first: bool = False

    @property
    def tokens(self) -> list[str]:
        return [one for one in (self.before_prompt, self.before_suffix, self.last) if one]

    def text(self, prompt: str, suffix: str) -> str:
        """What a model reads."""
        parts = [self.before_prompt + prompt, self.before_suffix + suffix]
        return "".join(reversed(parts) if self.suffix_first else parts) + self.last


KNOWN = (
    Infilling("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen, CodeGemma
    Infilling("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    Infilling("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    Infilling("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek
    Infilling("▁<PRE>", "▁<SUF>", "▁<MID>"),  # Code Llama
    Infilling("[PREFIX]", "[SUFFIX]", suffix_first=True),  # Codestral
)


def infilling_of(tokenizer: Tokenizer) -> Infilling | None:
    """How the model of a tokenizer fills in; None: it was not made for that."""
    fits = (one for one in KNOWN if None not in map(tokenizer.id_of, one.tokens))
    return next(fits, None)


def prompts_of(tokenizer: Tokenizer, body: CompletionRequest) -> list[str] | list[list[int]]:
    """The prompts as the model reads them. Raises InvalidRequest."""
    how = infilling_of(tokenizer) if body.suffix else None
    if how is None:
        return body.prompts
    texts = texts_in(body.prompts)
    if not texts:
        raise InvalidRequest(
            "suffix: this model fills in between texts; write its marks into a prompt of token ids",
            param="suffix",
        )
    return [how.text(one, body.suffix) for one in texts]
