"""Chat templates render as transformers renders them (tests/goldens/templates.py)."""

import json
from typing import Any

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.text.chat_template import ChatTemplate
from tests.support.paths import GOLDENS

CASES = json.loads((GOLDENS / "templates.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_the_prompt_is_the_same(case: dict[str, Any]) -> None:
    """White space, special tokens, JSON and loop controls included."""
    template = ChatTemplate(case["template"], case["tokens"])

    assert template.render(case["messages"], case["tools"]) == case["rendered"]


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
