"""A checkpoint's chat templates: messages to the prompt that its model was trained on."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from raylax.proto.errors import InvalidRequest, shown
from raylax.proto.text.content_uses import ContentUses
from raylax.proto.text.sandbox import LONGEST_RENDERING_S, MOST_CHARACTERS, TemplateSandbox

CONTINUED = "CONTINUE_FINAL_MESSAGE_TAG "
"""Behind the text that is to be continued, so that it is found again; transformers' own. Its last
space shows whether the template trims."""
DEFAULT = "default"
NINE_LETTERS = re.compile(r"id\s*\|\s*length\s*!=\s*9\b")
ASKED = {"role": "user", "content": "x"}
PROBES = [ASKED], [{"role": "system", "content": "x"}, ASKED]
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object", "properties": {}, "required": []},
    },
}
"""What is tried to see whether a template shows tools."""


class ChatTemplate:
    """A Jinja template, rendered in a sandbox. Raises ValueError for what is none."""

    def __init__(self, source: str, tokens: Mapping[str, str] | None = None) -> None:
        self.source = source
        self._sandbox = TemplateSandbox()
        try:
            tree = self._sandbox.parse(source)
            self._template = self._sandbox.from_string(source)
        except TemplateSyntaxError as error:
            raise ValueError(f"the chat template, line {error.lineno}: {error.message}") from None
        self._tokens = dict(tokens or {})
        self._asks_for = find_undeclared_variables(tree)
        self._texts = {c.value for c in tree.find_all(nodes.Const) if isinstance(c.value, str)}
        uses = ContentUses(tree)
        self.walks_parts = uses.walked
        """Whether it goes through the parts of a content."""
        self._takes_texts = not uses.walked or uses.asked_for_text

    def asks_for(self, variable: str) -> bool:
        """Whether it looks at a variable of this name."""
        return variable in self._asks_for

    @cached_property
    def shows_tools(self) -> bool:
        """Whether a prompt with a tool is another than without. Where it cannot be tried, since the
        template wants another conversation, what it asks for says so."""
        if not self.asks_for("tools"):
            return False
        for conversation in PROBES:
            with suppress(InvalidRequest):
                return self.render(conversation, [TOOL]) != self.render(conversation)
        return True

    def knows_role(self, role: str) -> bool:
        """Whether it tells this role from others."""
        return role in self._texts

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        field: str = "messages",
        *,
        documents: Sequence[Mapping[str, Any]] | None = None,
        begin_turn: bool = True,
        continue_last: bool = False,
        told: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt, ready for the assistant to speak if `begin_turn`, or to go on with the last
        message if `continue_last`. `told`: more variables, which go before the special tokens of
        the same names. What the template refuses is a 400 that names `field`.
        """
        shown = [self._as_it_expects(message) for message in messages]
        last = text_to_continue(shown[-1], field) if continue_last else ""
        variables = {
            **self._tokens,
            **(told or {}),
            "messages": shown,
            "tools": tools or None,
            "documents": documents or None,
            "add_generation_prompt": begin_turn,
        }
        prompt = self._rendered(variables, field)
        return cut_after(prompt, last, field) if continue_last else prompt

    def _rendered(self, variables: Mapping[str, Any], field: str) -> str:
        pieces, length = [], 0
        try:
            with self._sandbox.within(LONGEST_RENDERING_S):
                for piece in self._template.generate(variables):
                    self._sandbox.check_time()
                    pieces.append(piece)
                    length += len(piece)
                    if length > MOST_CHARACTERS:
                        raise InvalidRequest(
                            f"the rendered prompt may have {MOST_CHARACTERS} characters, it has "
                            "more",
                            param=field,
                        )
        except InvalidRequest:
            raise
        except Exception as error:  # a template is a stranger's program, this is its edge
            raise InvalidRequest(
                f"the model's chat template refuses these messages: {str(error)[:1024]}",
                param=field,
            ) from error
        return "".join(pieces)

    def _as_it_expects(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A content as text for a template that takes texts, its parts one after another with
        nothing between; as parts for one that only walks them. Developers are system to a template
        that knows none."""
        content, shown = message.get("content"), dict(message)
        if isinstance(content, list) and not self.walks_parts:
            shown["content"] = "".join(part["text"] for part in content)
        elif isinstance(content, str) and not self._takes_texts:
            shown["content"] = [{"type": "text", "text": content}] if content else []
        if message.get("role") == "developer" and not self.knows_role("developer"):
            shown["role"] = "system"
        return shown


def text_to_continue(message: dict[str, Any], field: str) -> str:
    """The text of a message, which is marked there as to be continued."""
    match message.get("content"):
        case str(text):
            message["content"] = text + CONTINUED
            return text
        case [*parts] if parts:
            text = str(parts[-1]["text"])
            message["content"] = [*parts[:-1], {**parts[-1], "text": text + CONTINUED}]
            return text
    raise InvalidRequest(
        "continue_final_message: the last message must have a text, it has none", param=field
    )


def cut_after(prompt: str, last: str, field: str) -> str:
    """The prompt up to the mark, as transformers cuts it: with the spaces at the end of the text
    unless the template trims them."""
    mark = CONTINUED.strip()
    at = prompt.rfind(mark)
    if at < 0 or last.strip() not in prompt:
        raise InvalidRequest(
            "continue_final_message: the model's chat template does not show the last message as "
            "it is",
            param=field,
        )
    kept = prompt.startswith(CONTINUED, at)
    return prompt[:at] if kept else prompt[:at].rstrip()


@dataclass(frozen=True)
class ChatTemplates:
    """The templates of a model by their names; most models have one, `default`."""

    named: Mapping[str, ChatTemplate] = field(default_factory=dict)

    @cached_property
    def want_nine_letters(self) -> bool:
        """Whether they refuse ids of calls that have not exactly nine letters and digits, as
        Mistral's do."""
        return any(NINE_LETTERS.search(template.source) for template in self.named.values())

    def chosen(self, name: str | None, tools: bool, documents: bool) -> ChatTemplate:
        """The one that is asked for, or else the one for tools, for documents, or for all.

        Raises InvalidRequest where there is none.
        """
        wanted = [name] if name is not None else []
        if name is None:
            wanted = ["tool_use"] * tools + ["rag"] * documents + [DEFAULT]
        found = next((self.named[one] for one in wanted if one in self.named), None)
        if found is None:
            raise InvalidRequest(
                f"chat_template: must name one of the model's own, {', '.join(sorted(self.named))}"
                f"; found {shown(wanted[-1])}. A template itself is not taken from requests",
                param="chat_template",
            )
        return found
