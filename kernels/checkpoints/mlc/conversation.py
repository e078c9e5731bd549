"""A conversation's template of MLC in the words of Jinja, and what ends its answers.

It is a system's part, and then each message: its role, a mark, what it says, and a separator, of
which an assistant's may be another one (`Conversation.as_prompt` of MLC-LLM). Values are put in as
literals.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from raylax.kernels.errors import CheckpointError

Json = dict[str, Any]
ROLES = ("user", "assistant", "tool")
TEXTS = ("system_template", "system_message", "role_content_sep", "role_empty_sep")
FUNCTIONS = "{function_string}"
"""Where tools would be written: there are none."""


class Conversation:
    """What a package's `conv_template` says; nothing is left open."""

    def __init__(self, told: Any, where: object) -> None:
        """Raises CheckpointError for a template that is none."""
        if not isinstance(told, dict):
            raise CheckpointError(f"{where}: conv_template must be an object")
        self._where = where
        texts = {name: told.get(name) for name in TEXTS}
        self.system = self._text("system_template", texts, "{system_message}").replace(
            FUNCTIONS, ""
        )
        self.message = self._text("system_message", texts, "")
        self.after_role = self._text("role_content_sep", texts, "")
        self.empty = self._text("role_empty_sep", texts, "")
        self.roles = self._texts_by_name("roles", told)
        own = self._texts_by_name("role_templates", told)
        self.templates = {role: own.get(role, f"{{{role}_message}}") for role in ROLES}
        self.seps = self._listed("seps", told, str) or [""]
        self.prefix: list[int] = self._listed("system_prefix_token_ids", told, int)
        self.repeats_role = told.get("add_role_after_system_message") is not False
        """Whether the first message has its role in front, though the system's part is there."""
        self.stop_texts: list[str] = self._listed("stop_str", told, str)
        self.stop_ids: list[int] = self._listed("stop_token_ids", told, int)

    def _text(self, name: str, told: Mapping[str, Any], default: str) -> str:
        value = default if told.get(name) is None else told[name]
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        return value

    def _texts_by_name(self, name: str, told: Json) -> dict[str, str]:
        value = {} if told.get(name) is None else told[name]
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise self._wrong(name, "texts by role", value)
        return value

    def _listed(self, name: str, told: Json, kind: type) -> list[Any]:
        """One value alone is a list of it."""
        value = [] if told.get(name) is None else told[name]
        values = value if isinstance(value, list) else [value]
        if not all(type(one) is kind for one in values):
            raise self._wrong(name, f"a list of {'texts' if kind is str else 'numbers'}", value)
        return values

    def _wrong(self, name: str, rule: str, value: Any) -> CheckpointError:
        return CheckpointError(
            f"{self._where}: {name} of conv_template must be {rule}, found {value!r:.60}"
        )

    def chat_template(self, names: Mapping[int, str]) -> str:
        """In Jinja. `names`: of tokens, by number. Raises CheckpointError for a token that has
        none."""
        if missing := [id for id in self.prefix if id not in names]:
            raise CheckpointError(
                f"{self._where}: system_prefix_token_ids of conv_template: the tokenizer has no "
                f"token {missing[0]}"
            )
        begin = literal("".join(names[id] for id in self.prefix))
        system = filled(self.system, "{system_message}", "ns.system")
        parts = [
            "{%- set ns = namespace(first=true, system=" + literal(self.message) + ") -%}",
            "{%- for m in messages if m.role == 'system' -%}",
            "{%- set ns.system = m.content or '' -%}{%- endfor -%}",
            "{%- set begun = " + system + " -%}",
            "{{- " + begin + " + begun -}}",
            "{%- for m in messages if m.role != 'system' -%}",
        ]
        for at, role in enumerate(role for role in ROLES if role in self.roles):
            parts.append("{%- " + ("elif" if at else "if") + f" m.role == '{role}' -%}}")
            parts.append(self._message(role))
        answer = literal(self.roles.get("assistant", "") + self.empty)
        parts.append("{%- endif -%}" if self.roles else "")
        parts.append("{%- set ns.first = false -%}{%- endfor -%}")
        parts.append("{%- if add_generation_prompt -%}{{- " + answer + " -}}{%- endif -%}")
        return "".join(parts)

    def _message(self, role: str) -> str:
        """What is written of a message."""
        said = filled(self.templates[role], f"{{{role}_message}}", "(m.content or '')")
        end = literal(self.seps[-1 if role == "assistant" else 0])
        named = literal(self.roles[role] + self.after_role)
        if not self.repeats_role:
            named = f"('' if ns.first and begun else {named})"
        return "{{- " + f"{named} + {said} + {end}" + " -}}"


def filled(text: str, place: str, by: str) -> str:
    """An expression of Jinja: the text, with another expression in each of these places."""
    return f" + {by} + ".join(map(literal, text.split(place)))


def literal(text: str) -> str:
    """A text in Jinja."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def named_tokens(tokenizer: Mapping[str, Any]) -> dict[int, str]:
    """The tokens of a tokenizer.json, by number."""
    model, added = tokenizer.get("model"), tokenizer.get("added_tokens")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    pairs: Sequence[tuple[Any, Any]] = []
    if isinstance(vocab, dict):
        pairs = [(id, token) for token, id in vocab.items()]
    elif isinstance(vocab, list):
        pairs = [(id, one[0]) for id, one in enumerate(vocab) if isinstance(one, list) and one]
    listed = added if isinstance(added, list) else []
    own = [(one.get("id"), one.get("content")) for one in listed if isinstance(one, dict)]
    return {id: token for id, token in (*pairs, *own) if type(id) is int and isinstance(token, str)}
