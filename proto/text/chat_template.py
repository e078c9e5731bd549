"""A checkpoint's chat template: messages to the prompt that its model was trained on."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from raylax.proto.errors import InvalidRequest

LONGEST_PROMPT = 8 << 20  # characters; a template is code of the checkpoint's author


def to_json(value: Any, ensure_ascii: bool = False, indent: int | None = None) -> str:
    """JSON as transformers renders it: without the HTML escapes of Jinja's own filter."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


class ChatTemplate:
    """A Jinja template, rendered in a sandbox."""

    def __init__(self, source: str, tokens: Mapping[str, str] | None = None) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
        )
        environment.filters["tojson"] = to_json
        environment.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now}
        self._template = environment.from_string(source)
        self._tokens = dict(tokens or {})

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None,
        field: str = "messages",
    ) -> str:
        """The prompt, ready for the assistant to speak; what the template refuses is a 400 that
        names `field`.
        """
        try:
            prompt = self._template.render(
                messages=messages, tools=tools or None, add_generation_prompt=True, **self._tokens
            )
        except (TemplateError, TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(
                f"the model's chat template refuses these messages: {error}", param=field
            ) from error
        if len(prompt) > LONGEST_PROMPT:
            raise InvalidRequest(
                f"the rendered prompt may have {LONGEST_PROMPT} characters, it has {len(prompt)}",
                param=field,
            )
        return prompt


def source_of(settings: Mapping[str, Any]) -> str | None:
    """The template in a tokenizer_config.json, or the default one of several by name."""
    given = settings.get("chat_template")
    if isinstance(given, list):
        given = next((t["template"] for t in given if t.get("name") == "default"), None)
    source: str | None = given
    return source


def special_tokens(settings: Mapping[str, Any]) -> dict[str, str]:
    """`bos_token` and its like in a tokenizer_config.json: strings, or objects with a `content`."""
    found = {}
    for name, value in settings.items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            found[name] = text
    return found
