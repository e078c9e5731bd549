"""Packages of MLC-LLM: the weights that they were made of, as near as their format comes, and their
conversation's template."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax.kernels.checkpoints.groups import Kind
from raylax.kernels.checkpoints.mlc.config import config_of, generation_of
from raylax.kernels.checkpoints.mlc.conversation import Conversation
from raylax.kernels.checkpoints.mlc.jinja import chat_template
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


@pytest.mark.parametrize(
    ("quantization", "how"),
    [("q0f16", None), ("q4f16_1", (4, 32, False)), ("q4f16_0", (4, 32, True))],
)
@pytest.mark.parametrize("variant", ["llama", "llama3-untied-biased"])
def test_tokens_that_are_none_have_no_rows(
    quantization: str, how: Any, variant: str, tmp_path: Path
) -> None:
    """So that none of them is ever drawn; where a package says how many there are."""
    whole = open_checkpoint(write_package(tmp_path / "whole", quantization, how, variant=variant))
    path = write_package(tmp_path / "active", quantization, how, variant=variant)
    file = path / "mlc-chat-config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"active_vocab_size": 90}))
    found = open_checkpoint(path)

    assert (whole.spec.vocab > 90, found.spec.vocab, found.config["vocab_size"]) == (True, 90, 90)
    for name, shape in tensors_of(found.spec):
        want, got = whole.tensor(name), found.tensor(name)
        assert got.shape == tuple(shape)
        assert np.array_equal(got, want[: len(got)]), name


def test_its_text_is_what_others_have(tmp_path: Path) -> None:
    """The tokenizer as it is, and the template in Jinja."""
    text = open_checkpoint(write_package(tmp_path, "q0f16", None)).text

    settings = json.loads((text / "tokenizer_config.json").read_text())
    assert settings["chat_template"] == chat_template(Conversation(TEMPLATE, text), {})
    assert (text / "tokenizer.json").exists()
    ends = json.loads((text / "generation_config.json").read_text())
    assert ends == {"eos_token_id": [98], "stop_strings": ["<|im_end|>"], "temperature": 0.7}


@pytest.mark.parametrize(
    ("told", "positions", "window", "chunk"),
    [
        ({"prefill_chunk_size": 2048}, 512, None, 2048),
        ({"context_window_size": -1, "sliding_window_size": 256}, 256, 256, None),
        ({"context_window_size": 300, "sliding_window_size": 256}, 300, 256, None),
        ({"sliding_window_size": -1, "prefill_chunk_size": -1}, 512, None, None),
        (
            {"context_window_size": None, "model_config": {"context_window_size": 128}},
            128,
            None,
            None,
        ),
    ],
)
def test_sizes_that_a_package_says(
    told: dict[str, Any], positions: int, window: int | None, chunk: int | None
) -> None:
    """-1 is none; what a package leaves out its model says."""
    package = {"model_type": "mistral", "context_window_size": 512, "model_config": {}} | told
    config = config_of(package, "here")

    assert config["max_position_embeddings"] == positions
    assert (config.get("sliding_window"), config.get("prefill_chunk_size")) == (window, chunk)


def test_first_tokens_stay_in_a_window(tmp_path: Path) -> None:
    """Of as many as the package says, where it has a window that is shorter than a sequence."""
    told: dict[str, Any] = {"model_type": "mistral", "attention_sink_size": 4}

    def sinks(**more: Any) -> int:
        path = changed(tmp_path, "mlc-chat-config.json", **told | more)
        return open_checkpoint(path).spec.sinks

    assert sinks(sliding_window_size=64) == 4
    assert sinks(sliding_window_size=64, attention_sink_size=-1) == 0
    assert sinks(sliding_window_size=-1) == 0
    with pytest.raises(CheckpointError, match="must be less than the window of 4, found 4"):
        sinks(sliding_window_size=4)


def test_how_a_package_draws(tmp_path: Path) -> None:
    """All that it says of it, null left out."""
    told = {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.25, "frequency_penalty": None,
            "repetition_penalty": 1.1, "conv_template": "llama-2"}  # fmt: skip
    made = generation_of(told, Conversation("llama-2", "here"))

    assert made == {
        "temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.25, "repetition_penalty": 1.1,
        "eos_token_id": [2], "stop_strings": ["[INST]"],
    }  # fmt: skip


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
            ("mlc-chat-config.json", {"conv_template": told}, said)
            for told, said in [
                (5, "conv_template must be an object or a name"),
                ("chat-ml", "conv_template 'chat-ml' is not known; did you mean chatml?"),
                ("?", "conv_template '\\?' is not known; known are LM, aya-23"),
                ({"seps": []}, "seps of conv_template must be one text or two, found \\[]"),
                ({"seps": ["", "", ""]}, "seps of conv_template must be one text or two"),
                ({"messages": [["system", "x"]]}, "messages of conv_template must be pairs of a"),
                ({"messages": "hi"}, "messages of conv_template must be a list of"),
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
    if isinstance(told := values.get("conv_template"), dict):
        values = {"conv_template": TEMPLATE | told}
    with pytest.raises(CheckpointError, match=said):
        assert open_checkpoint(changed(tmp_path, file, **values)).text


def test_a_piece_that_was_cut_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, "q0f16", None)
    piece = tmp_path / "params_shard_0.bin"
    piece.write_bytes(piece.read_bytes()[:-1])

    with pytest.raises(CheckpointError, match="truncated: parameter .* ends at byte"):
        open_checkpoint(tmp_path)
