"""What a chat template is given, and what it may do."""

import json
import time
from typing import Any

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.text.chat_template import ChatTemplate, ChatTemplates
from raylax.proto.text.sandbox import TemplateSandbox

HI = [{"role": "user", "content": "x"}]
PARTS = [{"role": "user", "content": [{"type": "text", "text": t} for t in ("a", " b", "c")]}]


def test_what_a_template_refuses_is_the_clients_error() -> None:
    template = ChatTemplate("{{ raise_exception('only one question') }}")

    with pytest.raises(InvalidRequest, match="only one question") as caught:
        template.render([], None)
    assert caught.value.param == "messages"


@pytest.mark.parametrize("source", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}"])
def test_a_template_stays_in_its_sandbox(source: str) -> None:
    """It is code of a stranger."""
    with pytest.raises(InvalidRequest):
        ChatTemplate(source).render([{"role": "user", "content": "x"}], None)


@pytest.mark.parametrize(
    "source",
    [
        "{{ messages[0].nothing.more }}",
        "{{ messages[0].content + 1 }}",
        "{{ none + 'a' }}",
        "{{ {} | tojson | int / 0 }}",
        "{{ nothing | tojson }}",
        "{{ 10 ** 400 * 1.0 }}",
        "{{ 'a' | first | round }}",
        "{{ '%d' % 'a' }}",
        "{{ '{0.a.b}'.format(1) }}",
        "{{ strftime_now(1) }}",
        "{% for a, b in [[1]] %}{% endfor %}",
        "{% for i in range(10 ** 9) %}{% endfor %}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ [0] * 10 ** 10 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ 'a'.ljust(10 ** 10) }}",
        "{{ 'a' | center(10 ** 10) }}",
        "{{ 'a\nb' | indent(10 ** 10) }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ [1] | tojson(indent=10 ** 10) }}",
        "{{ '{:9999999999}'.format(1) }}",
        "{{ '{:{w}}'.format(1, w=10 ** 10) }}",
        "{{ '%9999999999d' | format(1) }}",
        "{{ [1] | batch(10 ** 10, 'x') | list }}",
        "{{ (10 ** 9).to_bytes(10 ** 10, 'big') }}",
        "{{ lipsum(10 ** 10) }}",
        "{{ 'a' | truncate(1) }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for i in range(99999) %}{{ 'abcdefghij' * 100 }}{% endfor %}",
        "{% set n = namespace(s=[1]) %}{% for i in range(99) %}{% set n.s = n.s * 2 %}{% endfor %}",
    ],
)
def test_nothing_that_a_template_does_is_the_servers_error(source: str) -> None:
    """Nor does it cost the server its memory: what is too much is stopped before it is made."""
    begun = time.monotonic()

    with pytest.raises(InvalidRequest, match="refuses these messages|characters") as caught:
        ChatTemplate(source).render(HI)
    assert len(caught.value.message) < 2000
    assert time.monotonic() - begun < 5


def test_large_numbers_are_no_large_texts() -> None:
    """Times and ids are written."""
    source = "{{ '{}'.format(n) }} {{ '%d' % n }} {{ '%d' | format(n) }} {{ n * n }} {{ n + n }}"

    n = 1 << 40
    assert ChatTemplate(source).render(HI, told={"n": n}) == f"{n} {n} {n} {n * n} {n + n}"


@pytest.mark.parametrize("step", ["messages.x", "messages[0]", "range(0)", "i + i"])
def test_a_template_that_takes_too_long_is_stopped(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that writes nothing meanwhile, whatever it does."""
    monkeypatch.setattr("raylax.proto.text.chat_template.LONGEST_RENDERING_S", 0.05)
    inner = f"{{% for i in all %}}{{% if {step} %}}{{% endif %}}{{% endfor %}}"

    with pytest.raises(InvalidRequest, match="takes longer"):
        ChatTemplate(f"{{% set all = range(20000) %}}{inner * 100}").render(HI)


@pytest.mark.parametrize("error", [OverflowError, MemoryError, KeyError, AssertionError, OSError])
def test_whatever_is_raised_inside_is_the_clients_error(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> bool:
        raise error("inside")

    monkeypatch.setattr(TemplateSandbox, "getattr", fail)

    with pytest.raises(InvalidRequest, match="inside"):
        ChatTemplate("{{ messages.x }}").render(HI)


def test_a_text_that_is_no_template_says_where() -> None:
    with pytest.raises(ValueError, match="chat template, line 2: .*endfor"):
        ChatTemplate("{% for m in messages %}\n{{ m }}")


WALKS = "{% for m in messages %}{% for p in m.content %}{{ p.text }};{% endfor %}{% endfor %}"
ASKS = (
    "{% for m in messages %}{% set content = m['content'] %}{% if content is string %}{{ content }}"
    "{% else %}{% for p in content %}{{ p['text'] }};{% endfor %}{% endif %}{% endfor %}"
)
BY_NUMBER = "{% for m in messages %}{{ m.content[0].text }}{% endfor %}"
IN_MACRO = (
    "{% macro all(content) %}{% for p in content %}{{ p.text }};{% endfor %}{% endmacro %}"
    "{% for m in messages %}{{ all(m.content) }}{% endfor %}"
)
TEXT = (
    "{% for m in messages %}{{ m.content | trim }}{% for c in m.tool_calls %}"
    "{% if c.arguments is string %}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("source", "parts", "text"),
    [
        (WALKS, "a; b;c;", "x;"),
        (ASKS, "a; b;c;", "x"),
        (BY_NUMBER, "a", "x"),
        (IN_MACRO, "a; b;c;", "x;"),
        (TEXT, "a bc", "x"),
        (WALKS.replace("m.content", "m.content | list"), "a; b;c;", "x;"),
        (WALKS + "{% if messages[0].role is string %}{% endif %}", "a; b;c;", "x;"),
        (
            "{% for m in messages %}{% set said = m.content %}{% for p in said %}{{ p.text }};"
            "{% endfor %}{% endfor %}",
            "a; b;c;",
            "x;",
        ),
    ],
)
def test_a_template_gets_contents_as_it_takes_them(source: str, parts: str, text: str) -> None:
    """By its syntax: parts if it walks them, else their texts with nothing between; a text as parts
    if it only walks them."""
    template = ChatTemplate(source)

    assert (template.render(PARTS), template.render(HI)) == (parts, text)


def test_an_empty_content_has_no_parts() -> None:
    """As a loop over an empty text would find none."""
    assert ChatTemplate(WALKS).render([{"role": "user", "content": ""}]) == ""


def test_lines_of_blocks_alone_are_no_lines() -> None:
    """As transformers has it: with the spaces before a block, and the line's end behind it."""
    assert ChatTemplate("a\n  {% if true %}\n b\n\t{% endif %}\nc").render(HI) == "a\n b\nc"


def test_no_tools_and_no_documents_are_none() -> None:
    """Templates ask for them in either way, of which an empty list passes one only."""
    template = ChatTemplate("{{ tools is none }} {{ documents is none }}")

    assert template.render(HI, [], documents=[]) == template.render(HI) == "True True"


def test_developers_are_system_to_a_template_that_knows_none() -> None:
    messages = [{"role": "developer", "content": "x"}]
    plain = "{{ messages[0].role }}"

    assert ChatTemplate(plain).render(messages) == "system"
    assert (
        ChatTemplate(f"{plain}{{% if role == 'developer' %}}{{% endif %}}").render(messages)
        == "developer"
    )


@pytest.mark.parametrize(
    ("source", "shows"),
    [
        ("{{ messages[0].content }}", False),
        ("{% if tools %}{% endif %}", False),
        ("{{ tools }}", True),
        ("{% if messages | length < 2 %}{{ raise_exception('no') }}{% endif %}{{ tools }}", True),
        ("{% if tools %}{{ raise_exception('no') }}{% endif %}", True),
        ("{% if messages[0].role == 'user' %}{{ raise_exception('no') }}{% endif %}", False),
        (
            "{% if messages[0].role == 'user' %}{{ raise_exception('no') }}{% endif %}"
            "{% if tools %}{% endif %}",
            False,
        ),
    ],
)  # fmt: skip
def test_whether_a_template_shows_tools_is_tried(source: str, shows: bool) -> None:
    assert ChatTemplate(source).shows_tools is shows


def test_the_last_message_is_continued_with_its_own_end() -> None:
    keeps = ChatTemplate("{% for m in messages %}<{{ m.content }}>{% endfor %}")
    trims = ChatTemplate("{% for m in messages %}<{{ m.content | trim }}>{% endfor %}")
    messages = [*HI, {"role": "assistant", "content": "It is "}]

    def render(template: ChatTemplate) -> str:
        return template.render(messages, continue_last=True, begin_turn=False)

    assert (render(keeps), render(trims)) == ("<x><It is ", "<x><It is")


@pytest.mark.parametrize(
    ("source", "content", "reason"),
    [
        ("{{ messages[0].content }}", "y", "does not show the last message"),
        ("{{ messages[1].content | upper }}", "y", "does not show the last message"),
        (WALKS, [], "must have a text"),
    ],
)
def test_a_message_that_cannot_be_continued_is_refused(
    source: str, content: Any, reason: str
) -> None:
    messages = [*HI, {"role": "assistant", "content": content}]

    with pytest.raises(InvalidRequest, match=reason):
        ChatTemplate(source).render(messages, continue_last=True)


def test_a_template_is_chosen_by_what_it_is_for() -> None:
    made = {name: ChatTemplate(name) for name in ("default", "tool_use", "rag")}
    templates = ChatTemplates(made)

    def chosen(name: str | None = None, tools: bool = False, documents: bool = False) -> str:
        return templates.chosen(name, tools, documents).source

    assert chosen() == "default"
    assert chosen(tools=True) == chosen(tools=True, documents=True) == "tool_use"
    assert chosen(documents=True) == chosen("rag", tools=True) == "rag"
    with pytest.raises(InvalidRequest, match="default, rag, tool_use; found 'other'"):
        chosen("other")
    only = ChatTemplates({"default": made["default"]})
    assert only.chosen(None, tools=True, documents=True).source == "default"


def test_more_variables_go_before_special_tokens_and_not_before_messages() -> None:
    template = ChatTemplate(
        "{{ bos_token }}{{ more }}{{ messages | length }}", {"bos_token": "<s>"}
    )

    assert template.render(HI, told={"more": 1}) == "<s>11"
    assert template.render(HI, told={"bos_token": "B", "messages": []}) == "B1"


def test_json_is_written_as_transformers_writes_it() -> None:
    value = {"b": ["<ü>", None], "a": 1.5}
    template = ChatTemplate("{{ v | tojson(ensure_ascii=true, indent=1, sort_keys=true) }}")

    said = template.render(HI, told={"v": value})
    assert said == json.dumps(value, indent=1, sort_keys=True)
    assert ChatTemplate("{{ v | tojson }}").render(HI, told={"v": "<&'ü>"}) == '"<&\'ü>"'
