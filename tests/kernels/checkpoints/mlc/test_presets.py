"""The templates that have names."""

import pytest

from raylax.kernels.checkpoints.mlc.conversation import Conversation
from raylax.kernels.checkpoints.mlc.jinja import chat_template
from raylax.kernels.checkpoints.mlc.presets import PRESETS
from raylax.proto.calls.sampling_defaults import SamplingDefaults
from raylax.proto.text.chat_template import ChatTemplate

ASKED = [{"role": "user", "content": "why?"}]


def test_all_of_mlcs_registry_are_there() -> None:
    assert len(PRESETS) == 53


@pytest.mark.parametrize("name", PRESETS)
def test_a_named_template_asks_and_ends(name: str) -> None:
    """The question is in the prompt, after the system's part; something ends the answer; and what
    does is nothing that a client could not ask for."""
    made = Conversation(name, "here")
    prompt = ChatTemplate(chat_template(made, {id: f"<{id}>" for id in made.prefix})).render(ASKED)

    assert prompt.count("why?") == 1
    assert made.message in prompt.partition("why?")[0]
    assert "{" not in prompt.replace("{function_string}", "?")
    assert made.stop_ids
    assert SamplingDefaults.of({"stop_strings": made.stop_texts}).stop == tuple(made.stop_texts)


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("LM", "<1>why?"),
        ("wizardlm_7b", "<1>User: why?###Response:"),
        ("deepseek", "<100000>User: why?\n\nAssistant:"),
        ("phi-3-vision", "<1><|user|>\nwhy?<|end|>\n<|assistant|>\n"),
        ("glm", "<64790><64792>问: why?\n\n答:"),
        ("orion", "<1>Human: why?\n\nAssistant: </s>"),
        ("qwen3_5", "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
                    "why?<|im_end|>\n<|im_start|>assistant\n<think>\n"),
        ("ministral3", "<1>[SYSTEM_PROMPT]You are a helpful assistant.[/SYSTEM_PROMPT][INST]why?"
                       "[/INST]"),
        ("mistral_default", "<1>[INST] You are a helpful assistant.why? [/INST]"),
        ("olmo2", "<100257><|system|>\n\n<|user|>\nwhy?<|endoftext|>\n<|assistant|>\n"),
    ],
)  # fmt: skip
def test_prompts_of_named_templates(name: str, prompt: str) -> None:
    made = Conversation(name, "here")
    template = ChatTemplate(chat_template(made, {id: f"<{id}>" for id in made.prefix}))

    assert template.render(ASKED) == prompt
