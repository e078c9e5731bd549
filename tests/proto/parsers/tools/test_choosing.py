"""Which format a chat template shows."""

import pytest

from raylax.proto.parsers.tools.choosing import SIGNS, format_shown
from raylax.proto.parsers.tools.formats import TOOL_PARSERS

HEADER = "<|start_header_id|>{{ m.role }}<|end_header_id|>"


@pytest.mark.parametrize(
    ("template", "format"),
    [
        ('for each call return <tool_call>\n{"name": <function-name>}\n</tool_call>', "hermes"),
        ("<tool_call>\n<function=example>\n<parameter=a>\n</tool_call>", "qwen3_coder"),
        ("<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>", "glm45"),
        ("[gMASK]<sop>{{ x }}<|observation|>", "glm4"),
        ("[TOOL_CALLS][{{ c | tojson }}]", "mistral"),
        ("[TOOL_CALLS]{{ name }}[ARGS]{{ arguments }}", "mistral_named"),
        ("<｜tool▁call▁begin｜>{{ t }}<｜tool▁sep｜>{{ n }}\n```json", "deepseek_v3"),
        ("<｜tool▁call▁begin｜>{{ n }}<｜tool▁sep｜>{{ a }}", "deepseek_v31"),
        ("<|start_of_role|>{{ m.role }}<|end_of_role|><|tool_call|>", "granite"),
        ("<|start_of_role|>{{ m.role }}<|end_of_role|><tool_call></tool_call>", "hermes"),
        ("<|system|>{{ s }}<|tool|>{{ tools }}<|/tool|><|end|>", "phi4_mini_json"),
        ("<|header_start|>{{ m.role }}<|header_end|>", "llama4_pythonic"),
        (HEADER + '{"name": name, "parameters": dictionary of argument name}', "llama3_json"),
        (HEADER + "<|python_tag|>", "llama3_json"),
        (HEADER + "write [func_name1(a=1), func_name2()]", "llama4_pythonic"),
        ("<|start|>{{ m.role }}<|channel|>final<|message|>", "harmony"),
        (HEADER, None),
        ("<|im_start|>{{ m.role }}", None),
    ],
)
def test_what_a_template_shows(template: str, format: str | None) -> None:
    assert format_shown([template]) == format
    assert format_shown(["{{ messages }}", template]) == format


def test_the_names_are_those_of_parsers() -> None:
    assert {one.format for one in SIGNS} <= set(TOOL_PARSERS)
    assert {one.format for one in SIGNS} == set(TOOL_PARSERS) - {"json", "python"}
