"""A conversation's template of MLC in the words of Jinja; values are put in as literals.

Written to the letter of MLC's rules, but for three things. What a client writes is never taken for
a place of the template, the tools' for instance. A message that the template has no form for is
refused, as there, and so are calls of tools in an earlier answer. And JSON of tools keeps letters
that are not ASCII.
"""

from collections.abc import Mapping

from raylax.kernels.checkpoints.mlc.conversation import ROLES, Conversation

FUNCTIONS = "{function_string}"
"""Where tools are written: the last such place of a prompt has them, and others nothing."""
SYSTEM = "{system_message}"
CONTENT = "m.content or ''"
JOINED = "(m.content if m.content is string else (m.content or []) | map(attribute='text') | join)"
"""The same where parts come as they are, since another role is written part by part."""
ANSWERED = "m.content.split('</think>')[-1].lstrip('\\n')"
"""An answer without what was thought before it."""
TOOLS = (
    "{%- for tool in tools or [] -%}{%- set f = tool.function -%}"
    "{%- set ns.tools = ns.tools + [{'description': f.description | default(none), "
    "'name': f.name, 'parameters': f.parameters}] -%}{%- endfor -%}"
)


def chat_template(of: Conversation, names: Mapping[int, str]) -> str:
    """`names`: of tokens, by number. Raises CheckpointError for a token that has none."""
    begin = literal(of.names_of_prefix(names))
    with_tools = [role for role in known(of) if FUNCTIONS in of.templates[role]]
    system = filled(of.system, SYSTEM, "ns.system", "(ns.shown if ns.last < 0 else '')")
    begun = "true" if FUNCTIONS in of.system else f"({system}) != ''"
    return "".join(
        [
            f"{{%- set ns = namespace(system={literal(of.message)}, last=-1, user=-1, tools=[], "
            f"shown={literal(of.functions)}) -%}}",
            SYSTEM_MESSAGE,
            f"{{%- set said = {own(of)}(messages | rejectattr('role', 'equalto', 'system') | list)"
            " -%}",
            last_of("last", with_tools) if with_tools else "",
            last_of("user", ["user"]) if of.forgets_reasoning else "",
            TOOLS + "{%- if tools -%}{%- set ns.shown = ns.tools | tojson -%}{%- endif -%}"
            if shows_tools(of)
            else "",
            f"{{%- set begun = {begun} -%}}",
            "{{- " + begin + " + " + system + " -}}",
            "{%- for m in said -%}{%- set at = loop.index0 -%}",
            *(message(of, role, first=not at) for at, role in enumerate(known(of))),
            "{%- else -%}" if of.roles else "",
            "{{- raise_exception('role ' ~ m.role ~ ' is not one of this template') -}}",
            "{%- endif -%}" if of.roles else "",
            "{%- endfor -%}",
            "{%- if add_generation_prompt -%}{{- ",
            literal(of.roles.get("assistant", "") + of.empty),
            " -}}{%- endif -%}",
        ]
    )


SYSTEM_MESSAGE = (
    "{%- for m in messages if m.role == 'system' -%}"
    "{%- if not loop.first or messages[0].role != 'system' -%}"
    "{{- raise_exception('this template has one system message, which comes first') -}}"
    "{%- endif -%}{%- set ns.system = m.content if m.content is string else "
    "(m.content or []) | map(attribute='text') | join -%}{%- endfor -%}"
)


def shows_tools(of: Conversation) -> bool:
    """Whether there is a place for tools: answers then call them as Python would."""
    return any(FUNCTIONS in text for text in (of.system, *map(of.templates.get, known(of))) if text)


def is_plain(of: Conversation, role: str) -> bool:
    """Whether a message of this role is its content, and nothing more."""
    return of.templates[role] == f"{{{role}_message}}"


def known(of: Conversation) -> list[str]:
    """The roles that have a form."""
    return [role for role in ROLES if role in of.roles]


def own(of: Conversation) -> str:
    """The messages with which every conversation begins, to be followed by others."""
    each = (
        f"{{'role': {literal(role)}, 'content': {literal(text)}}}" for role, text in of.messages
    )
    return f"[{', '.join(each)}] + " if of.messages else ""


def last_of(name: str, roles: list[str]) -> str:
    """Notes where the last message of these roles stands."""
    listed = ", ".join(map(literal, roles))
    return (
        f"{{%- for m in said -%}}{{%- if m.role in [{listed}] -%}}"
        f"{{%- set ns.{name} = loop.index0 -%}}{{%- endif -%}}{{%- endfor -%}}"
    )


def message(of: Conversation, role: str, first: bool) -> str:
    """What is written of a message of this role. Each of several parts is a text in the role's
    form, of which only one that says nothing else can be told from a text of all parts."""
    template, place = of.templates[role], f"{{{role}_message}}"
    tools = "(ns.shown if at == ns.last else '')"
    last = "(ns.shown if at == ns.last and loop.last else '')"
    end = literal(of.seps[-1 if role == "assistant" else 0])
    named = literal(of.roles[role] + of.after_role)
    if not of.repeats_role:
        named = f"('' if at == 0 and begun else {named})"
    content = CONTENT if all(is_plain(of, one) for one in known(of)) else JOINED
    if role == "assistant" and of.forgets_reasoning:
        closed = "m.content is string and at < ns.user and '</think>' in m.content"
        content = f"{ANSWERED} if {closed} else {content}"
    whole = "{{- " + filled(template, place, f"({content})", tools) + " -}}"
    if not is_plain(of, role):
        parts = "{%- for part in m.content -%}{{- " + filled(template, place, "part.text", last)
        whole = (
            "{%- if m.content is string or not m.content -%}" + whole + "{%- else -%}" + parts
            + " -}}{%- endfor -%}{%- endif -%}"
        )  # fmt: skip
    calls = (
        "{%- if m.tool_calls -%}{{- raise_exception('this template shows no calls of tools') -}}"
        "{%- endif -%}"
        if role == "assistant"
        else ""
    )
    branch = "{%- " + ("if" if first else "elif") + f" m.role == '{role}' -%}}"
    return branch + calls + "{{- " + named + " -}}" + whole + "{{- " + end + " -}}"


def filled(text: str, place: str, by: str, tools: str) -> str:
    """An expression of Jinja: the text, with another expression in each of these places, and with
    the tools in the last of theirs."""
    before, found, after = text.rpartition(FUNCTIONS)
    halves = [after] if not found else [before.replace(FUNCTIONS, ""), after]
    written = [f" + {by} + ".join(map(literal, half.split(place))) for half in halves]
    return f" + {tools} + ".join(written)


def literal(text: str) -> str:
    """A text in Jinja."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\r", "\\r") + "'"
