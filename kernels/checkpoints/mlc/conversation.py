"""A conversation's template of MLC: what of it a package may say, and what ends its answers.

It is a system's part, and then each message: its role, a mark, what it says, and a separator, of
which an assistant's may be another one. A package has all of that, or the name of one that MLC
knows. `jinja.py` says it in the words of Jinja.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from raylax.kernels.checkpoints.mlc.presets import PRESETS
from raylax.kernels.errors import CheckpointError

Json = dict[str, Any]
ROLES = ("user", "assistant", "tool")
TEXTS = (
    "system_template", "system_message", "role_content_sep", "role_empty_sep", "function_string",
)  # fmt: skip


class Conversation:
    """What a package's `conv_template` says; nothing is left open."""

    def __init__(self, told: Any, where: object) -> None:
        """`told`: the template, or its name. Raises CheckpointError for a template that is none."""
        self._where = where
        if isinstance(told, str):
            told = self._named(told)
        if not isinstance(told, dict):
            raise CheckpointError(f"{where}: conv_template must be an object or a name")
        texts = {name: told.get(name) for name in TEXTS}
        self.system = self._text("system_template", texts, "{system_message}")
        self.message = self._text("system_message", texts, "")
        self.after_role = self._text("role_content_sep", texts, "")
        self.empty = self._text("role_empty_sep", texts, "")
        self.functions = self._text("function_string", texts, "")
        """What stands in the place of tools where there are none."""
        self.roles = self._texts_by_name("roles", told)
        own = self._texts_by_name("role_templates", told)
        self.templates = {role: own.get(role, f"{{{role}_message}}") for role in ROLES}
        self.seps: list[str] = self._listed("seps", told, str)
        if len(self.seps) not in (1, 2):
            raise self._wrong("seps", "one text or two", told.get("seps"))
        self.prefix: list[int] = self._listed("system_prefix_token_ids", told, int)
        self.repeats_role = told.get("add_role_after_system_message") is not False
        """Whether the first message has its role in front, though the system's part is there."""
        self.forgets_reasoning = told.get("strip_reasoning_in_history") is True
        """Whether earlier answers are shown without what was thought before them."""
        self.messages = self._messages(told)
        """Those with which every conversation begins: roles and contents."""
        self.stop_texts = [text for text in self._listed("stop_str", told, str) if text]
        self.stop_ids: list[int] = self._listed("stop_token_ids", told, int)

    def _named(self, name: str) -> Any:
        if name not in PRESETS:
            near = get_close_matches(name, PRESETS, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(PRESETS)}"
            raise CheckpointError(f"{self._where}: conv_template {name!r:.60} is not known; {hint}")
        return PRESETS[name]

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

    def _messages(self, told: Json) -> list[tuple[str, str]]:
        pairs: Sequence[Any] = self._listed("messages", told, list)
        for pair in pairs:
            if len(pair) != 2 or pair[0] not in self.roles or not isinstance(pair[1], str):
                raise self._wrong("messages", "pairs of a role and a text", pair)
        return [(role, text) for role, text in pairs]

    def _wrong(self, name: str, rule: str, value: Any) -> CheckpointError:
        return CheckpointError(
            f"{self._where}: {name} of conv_template must be {rule}, found {value!r:.60}"
        )

    def names_of_prefix(self, names: Mapping[int, str]) -> str:
        """The tokens with which a prompt begins, as text. `names`: of tokens, by number. Raises
        CheckpointError for a token that has none."""
        if missing := [id for id in self.prefix if id not in names]:
            raise CheckpointError(
                f"{self._where}: system_prefix_token_ids of conv_template: the tokenizer has no "
                f"token {missing[0]}"
            )
        return "".join(names[id] for id in self.prefix)


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
