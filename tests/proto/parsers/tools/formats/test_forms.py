"""Calls as models write them, in all the forms of their families."""

import json
from typing import Any

import pytest

from raylax.proto.parsers.base import Thought
from raylax.proto.parsers.tools.formats import TOOL_PARSERS
from tests.support.parsing import calls_in, offered, said, text_in

F, G = '{"name": "f", "arguments": {"x": 1}}', '{"name": "g", "arguments": {}}'
START, THOUGHT = "<|start|>assistant", "<|channel|>analysis<|message|>hm<|end|>"
TO_F = '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"x": 1}'
TO_H = "<|channel|>commentary to=h<|message|>{}"
Call = tuple[str, dict[str, Any]]
FX: Call = ("f", {"x": 1})
GN: Call = ("g", {})
SEP, BEGIN, END = "<｜tool▁sep｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
FIRST, LAST = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
FENCED = f'{BEGIN}function{SEP}f\n```json\n{{"x": 1}}\n```{END}'
QWEN = "<function=f>\n<parameter=x>\n1\n</parameter>\n</function>"
GLM = "<tool_call>f\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n</tool_call>"
READ = [
    ("llama3_json", '{"name": "f", "parameters": {"x": 1}}', "", [FX]),
    ("llama3_json", f"<|python_tag|>{F}; {G}", "", [FX, GN]),
    ("llama3_json", f" {F}\n{G}\n", "", [FX, GN]),
    ("llama3_json", f"{F}; and more", "; and more", [FX]),
    ("llama3_json", f"I call {F}", f"I call {F}", []),
    ("llama3_json", f"I call <|python_tag|>{F}", "I call ", [FX]),
    ("llama3_json", '<|python_tag|>f.call(x="1")', '<|python_tag|>f.call(x="1")', []),
    ("llama4_pythonic", "[f(x=1), g()]", "", [FX, GN]),
    ("llama4_pythonic", "x<|python_start|>[f( x = 1 ,)]<|python_end|>", "x", [FX]),
    ("llama4_pythonic", "[f(x=1), h()] or so", ", h()] or so", [FX]),
    ("llama4_pythonic", "[1, 2]", "[1, 2]", []),
    ("llama4_pythonic", "[f(1)]", "[f(1)]", []),
    ("mistral", f"[TOOL_CALLS] [{F}, {G}]", "", [FX, GN]),
    ("mistral", f'hi[TOOL_CALLS][{F[:-1]}, "id": "abc123def"}}]', "hi", [FX]),
    ("mistral", '[TOOL_CALLS]f[ARGS]{"x": 1}[TOOL_CALLS]g[ARGS]{}', "", [FX, GN]),
    ("mistral_named", '[TOOL_CALLS]f[CALL_ID]abc123def[ARGS]{"x": 1}', "", [FX]),
    ("mistral_named", '[TOOL_CALLS]f{"x": 1}', "", [FX]),
    ("mistral", "[TOOL_CALLS]h[ARGS]{}", "[TOOL_CALLS]h[ARGS]{}", []),
    ("deepseek_v3", f"So:\n{FIRST}{FENCED}\n{FENCED}{LAST}", "So:\n", [FX, FX]),
    ("deepseek_v3", f'{FIRST}{BEGIN}f{SEP}{{"x": 1}}{END}{LAST}', "", [FX]),
    ("deepseek_v31", f"{FIRST}{FENCED}", "", [FX]),
    ("deepseek_v31", f"{BEGIN}function{SEP}h\n", f"{BEGIN}function{SEP}h\n", []),
    ("phi4_mini_json", f"functools[{F}, {G}]", "", [FX, GN]),
    ("phi4_mini_json", f"<|tool_call|>[{F}]<|/tool_call|>", "", [FX]),
    ("phi4_mini_json", "functools are [", "functools are [", []),
    ("granite", f"<|tool_call|>[{F}]", "", [FX]),
    ("granite", f"<tool_call>[{F}, {G}]</tool_call>", "", [FX, GN]),
    ("granite", f"<function_call> {F}", "", [FX]),
    ("glm4", 'f\n{"x": 1}\n', "", [FX]),
    ("glm4", "f\nis a letter", "f\nis a letter", []),
    ("glm45", f"hm{GLM}\n{GLM}", "hm", [FX, FX]),
    ("glm45", "<tool_call>g\n</tool_call>", "", [GN]),
    ("glm45", "<tool_call>h\n</tool_call>", "<tool_call>h\n</tool_call>", []),
    ("qwen3_coder", f"<tool_call>\n{QWEN}\n</tool_call>", "", [FX]),
    ("qwen3_coder", f"First:\n{QWEN}\n{QWEN}\n</tool_call>", "First:\n", [FX, FX]),
    ("qwen3_coder", "<function=g></function>", "", [GN]),
    ("qwen3_coder", "<function=h>\n</function>", "<function=h>\n</function>", []),
    ("qwen3_coder", "<function=f>", "<function=f>", []),
    ("harmony", f"{THOUGHT}{START}{TO_F}", "", [FX]),
    ("harmony", f"{TO_F}<|call|>{START}{TO_F}", "", [FX, FX]),
    ("harmony", f"{THOUGHT}{START}<|channel|>final<|message|>so<|return|>", "so", []),
    ("harmony", f"<|channel|>commentary<|message|>I look.<|end|>{START}{TO_F}", "I look.", [FX]),
    ("harmony", f'{START} to=functions.f<|channel|>commentary json<|message|>{{"x": 1}}', "", [FX]),
    ("harmony", TO_H, TO_H, []),
    ("harmony", "no form at all", "no form at all", []),
    ("json", F, "", [FX]),
    ("json", f"```json\n[{F}, {G}]\n```\n", "", [FX, GN]),
    ("json", f"Well: {F}", f"Well: {F}", []),
    ("json", "```\ncode\n```", "```\ncode\n```", []),
]  # fmt: skip


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(("name", "text", "left", "calls"), READ)
def test_forms(name: str, text: str, left: str, calls: list[Call], size: int) -> None:
    found = said(TOOL_PARSERS[name](offered(["f", "g"])), text, size)

    assert [(one, json.loads(arguments)) for one, arguments in calls_in(found)] == calls
    assert text_in(found) == left


def test_each_format_is_tried() -> None:
    assert {name for name, *_ in READ} | {"hermes", "python"} == set(TOOL_PARSERS)


def test_text_flows_once_there_can_be_no_call() -> None:
    """Nothing is held of an answer that has begun otherwise."""
    reader = TOOL_PARSERS["json"](offered())

    assert (reader.add("{"), reader.done) == ([], False)
    assert (reader.add("x"), reader.done) == (["{x"], True)
    assert reader.add('{"name": "f"') == ['{"name": "f"']


def test_the_analysis_is_a_thought() -> None:
    """It streams, and it is said when it is one."""
    reader, seen = TOOL_PARSERS["harmony"](offered([])), []
    for text in (
        "<|channel|>",
        "analysis<|message|>",
        "hm",
        "<|end|><|start|>assistant<|channel|>",
    ):
        seen.append((reader.add(text), reader.thinking))

    assert seen == [([], False), ([], True), ([Thought("hm")], True), ([], False)]
