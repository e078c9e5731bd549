"""Conversations as MLC's rules write them, each case worked out by hand."""

from typing import Any

import pytest

from raylax.kernels.checkpoints.mlc.conversation import Conversation
from raylax.kernels.checkpoints.mlc.jinja import chat_template
from raylax.proto.errors import InvalidRequest
from raylax.proto.text.chat_template import ChatTemplate
from tests.support.mlc_packages import TEMPLATE

SYSTEM = {"role": "system", "content": "Be kind."}
ASKED = [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "2"}]
AGAIN = [*ASKED, {"role": "user", "content": "3?"}]
PLAIN: dict[str, Any] = {"roles": {"user": "U", "assistant": "A", "tool": "T"}, "seps": [""]}
LLAMA2 = {
    "system_template": "[INST] <<SYS>>\n{system_message}\n<</SYS>>\n\n",
    "system_message": "Help.",
    "roles": {"user": "<s>[INST]", "assistant": "[/INST]"},
    "seps": [" ", " </s>"],
    "role_content_sep": " ",
    "role_empty_sep": " ",
}
ONCE = {"add_role_after_system_message": False, "system_prefix_token_ids": [7]}
GORILLA = PLAIN | {"role_templates": {"user": "{user_message}<{function_string}>"}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"é": 1}}}]
WRITTEN = '[{"description": null, "name": "f", "parameters": {"é": 1}}]'


def written(template: Any, messages: list[dict[str, Any]], **given: Any) -> str:
    conversation = Conversation(template, "here")
    names = {id: f"<{id}>" for id in conversation.prefix} | {7: "<s>"}
    return ChatTemplate(chat_template(conversation, names)).render(messages, **given)


def parts(*texts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize(
    ("template", "messages", "prompt"),
    [
        (
            TEMPLATE,
            AGAIN,
            "<|im_start|>system\nA conversation.<|im_end|>\n<|im_start|>user\n1?<|im_end|>\n"
            "<|im_start|>assistant\n2<|im_end|>\n<|im_start|>user\n3?<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        (
            TEMPLATE,
            [SYSTEM, *ASKED[:1]],
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n1?<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
        (
            LLAMA2,
            ASKED,
            "[INST] <<SYS>>\nHelp.\n<</SYS>>\n\n<s>[INST] 1? [/INST] 2 </s>[/INST] ",
        ),
        (PLAIN | {"roles": {"user": "it's\\\r", "assistant": ""}}, ASKED[:1], "it's\\\r1?"),
        (LLAMA2 | ONCE, ASKED, "<s>[INST] <<SYS>>\nHelp.\n<</SYS>>\n\n1? [/INST] 2 </s>[/INST] "),
        (
            {**PLAIN, **ONCE, "system_template": "", "role_content_sep": ":"},
            [*ASKED[:1], *ASKED[:1]],
            "<s>U:1?U:1?A",
        ),
        (PLAIN | {"role_content_sep": ": ", "role_empty_sep": ":"}, ASKED, "U: 1?A: 2A:"),
        (
            PLAIN
            | {
                "role_templates": {"user": "({user_message}|{user_message})"},
                "system_template": "{system_message}+{function_string}+{system_message}",
            },
            [SYSTEM, *ASKED[:1]],
            "Be kind.++Be kind.U(1?|1?)A",
        ),
        (PLAIN | {"seps": ["."]}, AGAIN, "U1?.A2.U3?.A"),
        (PLAIN | {"seps": [".", "!"]}, AGAIN, "U1?.A2!U3?.A"),
        (PLAIN | {"system_message": "S"}, [{"role": "system", "content": ""}, *ASKED], "U1?A2A"),
        (PLAIN, [SYSTEM | {"content": parts("a", "b")}, {"role": "tool", "content": "r"}], "abTrA"),
        (PLAIN | {"messages": [["user", "it's"], ["assistant", "so"]]}, AGAIN[2:], "Uit'sAsoU3?A"),
        (
            PLAIN | {"role_templates": {"user": "[{user_message}]"}},
            [{"role": "user", "content": parts("a", "b")}],
            "U[a][b]A",
        ),
        (
            PLAIN | {"role_templates": {"assistant": "<{assistant_message}>"}},
            [{"role": "user", "content": parts("a", "b")}, *ASKED[1:]],
            "UabA<2>A",
        ),
        (
            "llama-2", AGAIN[2:],
            "<1>[INST] <<SYS>>\nYou are a helpful assistant.\n<</SYS>>\n\n3? [/INST] ",
        ),
        ("redpajama_chat", AGAIN, "<human>: 1?\n<bot>: 2\n<human>: 3?\n<bot>:"),
        (
            "gemma_instruction", AGAIN[2:],
            "<2><start_of_turn>user\n3?<end_of_turn>\n<start_of_turn>model\n",
        ),
    ],
)  # fmt: skip
def test_a_conversation_is_written_as_its_template_says(
    template: Any, messages: list[dict[str, Any]], prompt: str
) -> None:
    assert written(template, messages) == prompt


def test_a_prompt_may_begin_no_turn() -> None:
    assert written(PLAIN, ASKED, begin_turn=False) == "U1?A2"


THOUGHT = [
    {"role": "user", "content": "1?"},
    {"role": "assistant", "content": "<think>hm</think></think>\n\n2"},
    {"role": "user", "content": "3?"},
    {"role": "assistant", "content": "<think>so</think>\n4"},
]


@pytest.mark.parametrize(
    ("strips", "prompt"),
    [
        (True, "U1?A2U3?A<think>so</think>\n4A"),
        (False, "U1?A<think>hm</think></think>\n\n2U3?A<think>so</think>\n4A"),
    ],
)
def test_earlier_answers_may_be_shown_without_their_thoughts(strips: bool, prompt: str) -> None:
    """Those before the last question."""
    template = PLAIN | {"strip_reasoning_in_history": strips}

    assert written(template, THOUGHT) == prompt


@pytest.mark.parametrize(
    ("template", "messages", "prompt"),
    [
        (GORILLA, AGAIN, f"U1?<>A2U3?<{WRITTEN}>A"),
        (GORILLA, [{"role": "user", "content": parts("a", "b")}], f"Ua<>b<{WRITTEN}>A"),
        (GORILLA, [*ASKED, {"role": "tool", "content": "r"}], f"U1?<{WRITTEN}>A2TrA"),
        (PLAIN | {"system_template": "<{function_string}>"}, ASKED[:1], f"<{WRITTEN}>U1?A"),
        (GORILLA | {"system_template": "<{function_string}>"}, ASKED[:1], f"<>U1?<{WRITTEN}>A"),
    ],
)
def test_tools_stand_in_the_last_place_for_them(
    template: Any, messages: list[dict[str, Any]], prompt: str
) -> None:
    assert written(template, messages, tools=TOOLS) == prompt


def test_without_tools_there_is_what_the_template_says_of_them() -> None:
    assert written(GORILLA, ASKED[:1]) == "U1?<>A"
    assert written(GORILLA | {"function_string": "none"}, ASKED[:1]) == "U1?<none>A"


def test_a_client_makes_no_place_for_tools() -> None:
    """Not by writing what stands for one."""
    said = [{"role": "user", "content": "{function_string}"}]

    assert written(GORILLA, said, tools=TOOLS) == f"U{{function_string}}<{WRITTEN}>A"


@pytest.mark.parametrize("template", [PLAIN, GORILLA])
def test_it_is_known_whether_tools_are_shown(template: Any) -> None:
    made = ChatTemplate(chat_template(Conversation(template, "here"), {}))

    assert made.shows_tools is (template is GORILLA)


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([*ASKED[:1], SYSTEM], "one system message, which comes first"),
        ([SYSTEM, SYSTEM, *ASKED], "one system message, which comes first"),
        ([{"role": "tool", "content": "r"}], "role tool is not one of this template"),
        ([{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}], "no calls of tools"),
    ],
)
def test_what_a_template_has_no_form_for_is_refused(
    messages: list[dict[str, Any]], said: str
) -> None:
    """Instead of being left out."""
    with pytest.raises(InvalidRequest, match=said):
        written(LLAMA2, messages)
