"""What a model thinks is told apart from what it says, however its text is cut."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raylax.proto.parsers.base import Thought
from raylax.proto.parsers.chain import ParserChain
from raylax.proto.parsers.reasoning import REASONING_FORMATS
from raylax.proto.parsers.reasoning.choosing import SIGNS, reasoning_shown
from raylax.proto.parsers.reasoning.thinking import ThinkingParser
from raylax.proto.parsers.tools.formats.hermes import HermesToolParser
from tests.support.parsing import calls_in, offered, read, said

THINK, GRANITE = REASONING_FORMATS["think"], REASONING_FORMATS["granite"]
CALL = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
each_format = pytest.mark.parametrize("name", REASONING_FORMATS)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "inside", "found"),
    [
        ("<think>\nwhy\n</think>\n\nso", False, [Thought("why"), "so"]),
        ("\n<think>a b</think>so\n", False, [Thought("a b"), "so\n"]),
        ("why </think> so", True, [Thought("why"), "so"]),
        ("<think>why</think>so", True, [Thought("why"), "so"]),
        ("<think></think>so", False, ["so"]),
        ("<think>why", False, [Thought("why")]),
        ("<think>", False, []),
        ("why </thi", True, [Thought("why </thi")]),
        ("so <think>why</think>", False, ["so <think>why</think>"]),
        (" so", False, [" so"]),
        ("<thin", False, ["<thin"]),
        ("<think>a</think>b</think><think>c", False, [Thought("a"), "b</think><think>c"]),
    ],
)
def test_one_thought_at_the_beginning(
    text: str, inside: bool, found: list[object], size: int
) -> None:
    assert list(said(ThinkingParser(THINK, inside), text, size)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<think>a</think><response>b</response>", [Thought("a"), "b"]),
        ("<think>a</think>b", [Thought("a"), "b"]),
        ("Here is my thought process: a Here is my response: b", [Thought("a"), "b"]),
        ("Here is my dog", ["Here is my dog"]),
    ],
)
def test_granite_has_several_marks(text: str, found: list[object]) -> None:
    assert list(said(ThinkingParser(GRANITE, False), text, 1)) == found


@each_format
@settings(max_examples=100, deadline=None)
@given(data=st.data(), inside=st.booleans(), seed=st.integers(0, 1 << 30))
def test_cuts_make_no_difference(name: str, data: st.DataObject, inside: bool, seed: int) -> None:
    marks = REASONING_FORMATS[name]
    bits = [*marks.all, *(mark[:4] for mark in marks.all), " ", "\n", "a", "so it is"]
    text = "".join(data.draw(st.lists(st.sampled_from(bits), max_size=8)))
    rng = random.Random(seed)
    cuts = [rng.randrange(len(text) + 1) for _ in range(rng.randrange(8))]
    at_once = read(ThinkingParser(marks, inside), text, [])

    assert read(ThinkingParser(marks, inside), text, cuts) == at_once
    assert read(ThinkingParser(marks, inside), text, 1) == at_once
    if not inside and not text.lstrip().startswith(marks.opens):
        assert at_once == ((text,) if text else ())


def test_it_says_when_it_thinks_and_when_it_is_done() -> None:
    """Thoughts stream; then text goes through as it is."""
    reader, seen = ThinkingParser(THINK, False), []
    for text in ("<think>", "why ", "not", "</think>", "\n", "so", " "):
        seen.append((reader.add(text), reader.thinking, reader.done))

    assert seen == [
        ([], True, False), ([Thought("why")], True, False), ([Thought(" not")], True, False),
        ([], False, False), ([], False, False), (["so"], False, True), ([" "], False, True),
    ]  # fmt: skip


def test_calls_are_found_behind_a_thought_and_not_in_it() -> None:
    chain = ParserChain([ThinkingParser(THINK, True), HermesToolParser(offered())])

    found = said(chain, f"{CALL} or not</think>\n{CALL}", 2)
    assert found[0] == Thought(f"{CALL} or not")
    assert calls_in(found[1:]) == [("f", "{}")] and len(found) == 2


@pytest.mark.parametrize(
    ("name", "prompt", "inside"),
    [
        ("think", "<|im_start|>assistant\n<think>\n", True),
        ("think", "<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("think", "<|im_start|>assistant\n", False),
        ("deepseek_r1", "<｜Assistant｜>", True),
        ("deepseek_r1", "<｜Assistant｜></think>", False),
        ("mistral", "[/INST][THINK]", True),
    ],
)
def test_an_answer_may_begin_within_a_thought(name: str, prompt: str, inside: bool) -> None:
    assert REASONING_FORMATS[name].is_open_after(prompt) == inside


@pytest.mark.parametrize(
    ("text", "inside"), [("<think>a", True), ("<think>a</think>b", False), ("b", False)]
)
def test_an_answer_may_go_on_within_one(text: str, inside: bool) -> None:
    assert REASONING_FORMATS["deepseek_r1"].is_open_in(text) == inside


@pytest.mark.parametrize(
    ("template", "format"),
    [
        ("{{ m.content.split('</think>')[-1] }}<|im_start|>assistant\n<think>", "think"),
        ("{{ m.content.split('</think>')[-1] }}<｜Assistant｜>", "deepseek_r1"),
        ("{{ m.content.split('</think>')[-1] }}<｜Assistant｜><think>", "think"),
        ("<|start_of_role|>Write your thoughts between <think></think>", "granite"),
        ("[THINK]{{ m.thinking }}[/THINK]", "mistral"),
        ("<seed:think>", "seed"),
        ("<|start|>{{ m.role }}<|channel|>final<|message|>", "harmony"),
        ("<|im_start|>{{ m.role }}", "none"),
    ],
)
def test_what_a_template_shows(template: str, format: str) -> None:
    assert reasoning_shown([template]) == format
    assert {one.format for one in SIGNS} == {*REASONING_FORMATS, "harmony"}
