"""Packages of MLC-LLM: the weights that they were made of, as near as their format comes, and their
conversation's template."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import Environment

from raylax.kernels.checkpoints.groups import Kind
from raylax.kernels.checkpoints.mlc.conversation import Conversation
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import tensors_of
from tests.support.checkpoints import write_checkpoint
from tests.support.mlc_packages import TEMPLATE, write_package
from tests.support.rows import same_by_rows, same_in_groups

NAMES = [
    "model.embed_tokens.weight",
    *(f"model.layers.1.self_attn.{one}_proj.weight" for one in "qkvo"),
    *(f"model.layers.1.mlp.{one}_proj.weight" for one in ("gate", "up", "down")),
    "model.norm.weight",
]


@pytest.mark.parametrize(
    ("quantization", "how", "near"),
    [
        ("q0f16", None, 1e-3),
        ("q0bf16", None, 5e-3),
        ("q4f16_1", (4, 32, False), 0.08),
        ("q4f16_0", (4, 32, True), 0.08),
        ("q3f16_1", (3, 40, False), 0.18),
    ],
)
def test_a_package_has_the_weights_that_it_was_made_of(
    quantization: str, how: Any, near: float, tmp_path: Path
) -> None:
    """What was put together is taken apart, and groups that the inputs do not fill are cut."""
    want = open_checkpoint(write_checkpoint(tmp_path / "checkpoint"))
    found = open_checkpoint(write_package(tmp_path / "package", quantization, how))

    assert found.spec == want.spec
    for name in NAMES:
        a, b = found.tensor(name), want.tensor(name)
        assert np.abs(a - b).max() <= near * np.abs(b).max(), name
        same_by_rows(partial(found.tensor, name), name)
        form = same_in_groups(found, name)
        assert (form == Kind(4)) == (quantization.startswith("q4") and name != NAMES[-1])


@pytest.mark.parametrize(
    ("quantization", "how", "near"),
    [("q0f16", None, 1e-3), ("q4f16_1", (4, 32, False), 0.08), ("q3f16_1", (3, 40, False), 0.18)],
)
def test_sizes_need_not_be_whole_groups(
    quantization: str, how: Any, near: float, tmp_path: Path
) -> None:
    """Rows of 100 in groups of 32 and 40; heads of 80, biases of the MLP."""
    variant = "hidden-100-dim-80-mlp-biased"
    want = open_checkpoint(write_checkpoint(tmp_path / "checkpoint", variant))
    found = open_checkpoint(write_package(tmp_path / "package", quantization, how, variant=variant))

    assert found.spec == want.spec and found.spec.mlp_bias
    for name, _ in tensors_of(want.spec):
        a, b = found.tensor(name), want.tensor(name)
        assert np.abs(a - b).max() <= near * np.abs(b).max(), name
        same_by_rows(partial(found.tensor, name), name)


def test_its_text_is_what_others_have(tmp_path: Path) -> None:
    """The tokenizer as it is, and the template in Jinja."""
    text = open_checkpoint(write_package(tmp_path, "q0f16", None)).text

    settings = json.loads((text / "tokenizer_config.json").read_text())
    assert settings["chat_template"] == Conversation(TEMPLATE, text).chat_template({})
    assert (text / "tokenizer.json").exists()
    ends = json.loads((text / "generation_config.json").read_text())
    assert ends == {"eos_token_id": [98], "stop_strings": ["<|im_end|>"], "temperature": 0.7}


SYSTEM = {"role": "system", "content": "Be kind."}
ASKED = [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "2"}]
LLAMA2 = {
    "system_template": "[INST] <<SYS>>\n{system_message}\n<</SYS>>\n\n",
    "system_message": "Help.",
    "roles": {"user": "<s>[INST]", "assistant": "[/INST]"},
    "seps": [" ", " </s>"],
    "role_content_sep": " ",
    "role_empty_sep": " ",
}
ONCE = {"add_role_after_system_message": False, "system_prefix_token_ids": [7]}


@pytest.mark.parametrize(
    ("template", "messages", "prompt"),
    [
        (
            TEMPLATE,
            [*ASKED, {"role": "user", "content": "3?"}],
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
        ({"roles": {"user": "it's\\", "assistant": ""}}, ASKED[:1], "it's\\1?"),
        (LLAMA2 | ONCE, ASKED, "<s>[INST] <<SYS>>\nHelp.\n<</SYS>>\n\n1? [/INST] 2 </s>[/INST] "),
        (
            {**ONCE, "system_template": "", "roles": {"user": "U"}, "role_content_sep": ":"},
            [*ASKED[:1], *ASKED[:1]],
            "<s>U:1?U:1?",
        ),
        ({"roles": {"user": "", "assistant": "A"}, "role_content_sep": ": "}, ASKED, ": 1?A: 2A"),
        (
            {
                "roles": {"user": "U"},
                "role_templates": {"user": "({user_message}|{user_message})"},
                "system_template": "{system_message}+{function_string}+{system_message}",
            },
            [SYSTEM, *ASKED[:1]],
            "Be kind.++Be kind.U(1?|1?)",
        ),
        ({"system_message": "S"}, ASKED, "S"),
    ],
)
def test_a_conversation_is_written_as_its_template_says(
    template: dict[str, Any], messages: list[dict[str, str]], prompt: str
) -> None:
    written = Conversation(template, "here").chat_template({7: "<s>"})
    jinja = Environment().from_string(written)  # no page

    assert jinja.render(messages=messages, add_generation_prompt=True) == prompt


def changed(path: Path, file: str, **values: Any) -> Path:
    write_package(path, "q4f16_1", (4, 32, False))
    whole = json.loads((path / file).read_text())
    (path / file).write_text(json.dumps(whole | values))
    return path


@pytest.mark.parametrize(
    ("file", "values", "said"),
    [
        (
            "mlc-chat-config.json",
            {"model_type": "rwkv6"},
            "model_type 'rwkv6' is not supported",
        ),
        ("mlc-chat-config.json", {"quantization": "q5"}, "quantization 'q5' is not read; read are"),
        ("mlc-chat-config.json", {"quantization": "q4f16_0"}, "are not those of"),
        ("mlc-chat-config.json", {"model_config": 3}, "model_config must be an object"),
        *(
            ("mlc-chat-config.json", {"conv_template": template}, said)
            for template, said in [
                ("chatml", "conv_template must be an object"),
                ({"roles": ["user"]}, r"roles of conv_template must be texts by role, found \['us"),
                ({"role_templates": {"user": 1}}, "role_templates of conv_template must be texts"),
                ({"seps": 1}, "seps of conv_template must be a list of texts, found 1"),
                ({"stop_str": [1]}, r"stop_str of conv_template must be a list of texts, found"),
                (
                    {"stop_token_ids": ["x"]},
                    "stop_token_ids of conv_template must be a list of num",
                ),
                ({"stop_token_ids": [True]}, "stop_token_ids of conv_template must be a list of n"),
                ({"system_template": 3}, "system_template of conv_template must be a text"),
                ({"system_prefix_token_ids": [999]}, "the tokenizer has no token 999"),
            ]
        ),
        ("ndarray-cache.json", {"records": [{"dataPath": "../x", "records": []}]}, "beside it"),
        ("ndarray-cache.json", {"records": [{"dataPath": "none.bin"}]}, "none.bin is missing"),
        ("ndarray-cache.json", {"records": 7}, "not a list of parameters"),
    ],
)
def test_what_is_wrong_with_a_package_is_said(
    file: str, values: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=said):
        assert open_checkpoint(changed(tmp_path, file, **values)).text


def test_a_piece_that_was_cut_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, "q0f16", None)
    piece = tmp_path / "params_shard_0.bin"
    piece.write_bytes(piece.read_bytes()[:-1])

    with pytest.raises(CheckpointError, match="truncated: parameter .* ends at byte"):
        open_checkpoint(tmp_path)
