"""What is wrong with a checkpoint is said in words, before any weight is read."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from raylax.kernels.checkpoints.hugging_face import HuggingFaceCheckpoint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families import spec_of
from tests.support.checkpoints import BASE, LLAMA3_ROPE, config_of, write_checkpoint
from tests.support.token_files import DIRECTORIES, HERE


def change_config(path: Path, **changed: Any) -> None:
    file = path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def test_a_missing_directory(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(CheckpointError, match="nowhere: no such directory"):
        open_checkpoint(tmp_path / "nowhere")


def test_a_directory_that_is_no_checkpoint(tmp_path: Path) -> None:
    """The missing file is named."""
    with pytest.raises(CheckpointError, match="not a checkpoint, config.json is missing"):
        open_checkpoint(tmp_path)


def test_an_unknown_architecture_names_the_nearest_known(tmp_path: Path) -> None:
    change_config(write_checkpoint(tmp_path), architectures=["BloomForCausalLM"])

    with pytest.raises(CheckpointError, match="BloomForCausalLM.*GlmForCausalLM.*lists all"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("hidden_size", "64", "hidden_size must be a positive integer, .* found '64'"),
        ("num_hidden_layers", 0, "num_hidden_layers must be a positive integer, .* found 0"),
        ("num_key_value_heads", 3, "multiple of num_key_value_heads, found 4 and 3"),
        ("hidden_act", "mish", "hidden_act 'mish' is not supported, only silu"),
        ("mlp_bias", True, "mlp.gate_proj.bias of shape .96,. is missing"),
        ("rope_scaling", {"type": "ntk", "factor": 4}, "rope scaling 'ntk' is not supported"),
        ("partial_rotary_factor", 1.5, "partial_rotary_factor must be at most 1, .* found 1.5"),
        ("rope_parameters", {"partial_rotary_factor": 0.03}, "number of 32 dims, found 0.03"),
        ("rope_scaling", {**LLAMA3_ROPE, "low_freq_factor": 4.0}, "must be below high_freq_factor"),
        ("head_dim", 25, "head_dim must be even, for halves are rotated, found 25"),
        ("draft_vocab_size", 60, "tie_word_embeddings must be false where draft_vocab_size"),
        ("num_hidden_layers", True, "num_hidden_layers must be a positive integer, .* found True"),
    ],
)
def test_a_config_that_we_cannot_serve(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    """The key, the rule and the value given."""
    change_config(write_checkpoint(tmp_path), **{key: value})

    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(tmp_path)


WRONG = ["", "x", -1, 0, 1.5, float("inf"), float("nan"), 10**400, [], [1], {"a": 1}, True]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:12])
def test_any_value_of_any_key_is_an_error_in_words(tmp_path: Path, wrong: object) -> None:
    """Or it changes nothing that is read: never anything but CheckpointError."""
    write_checkpoint(tmp_path)
    config = config_of("llama")
    keys = [*config, "rope_scaling", "rope_parameters", "sliding_window", "dtype", "head_dim"]

    for key in keys:
        (tmp_path / "config.json").write_text(json.dumps({**config, key: wrong}))
        try:
            spec = open_checkpoint(tmp_path).spec
        except CheckpointError as error:
            assert "config.json" in str(error) or "tensor" in str(error)
        else:
            assert spec.max_positions > 0 and key not in ("hidden_size", "vocab_size")


def test_null_is_as_absent(tmp_path: Path) -> None:
    """Of what has a default: older scripts write it."""
    nullable = {
        "num_key_value_heads": None, "head_dim": None, "rope_theta": None, "hidden_act": None,
        "rms_norm_eps": None, "attention_bias": None, "mlp_bias": None, "rope_scaling": None,
        "tie_word_embeddings": None, "max_position_embeddings": None, "rope_parameters": None,
    }  # fmt: skip
    base = {**BASE, "hidden_size": 128}
    wanted = spec_of({key: value for key, value in base.items() if key not in nullable})

    assert spec_of({**base, **nullable}) == wanted
    assert wanted.kv_heads == wanted.heads


@pytest.mark.parametrize(
    ("variant", "given", "positions"),
    [
        ("llama", {"rope_scaling": {"type": "linear", "factor": 4.0}}, 2048),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 1.5}}, 768),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 1e29}}, 2**31 - 1),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 1e-9}}, 1),
        ("llama", {"rope_parameters": None,
                   "rope_scaling": {"type": "linear", "factor": 2.0}}, 1024),
        ("llama", {"rope_scaling": LLAMA3_ROPE}, 512),
        ("llama", {"rope_parameters": {"full_attention": {"rope_type": "default"}}}, 512),
        ("mistral-one-kv-head", {"sliding_window": 100}, 512),
    ],
)  # fmt: skip
def test_the_longest_sequence(variant: str, given: dict[str, Any], positions: int) -> None:
    """Linear scaling stretches it; what a token sees is no matter of it."""
    assert spec_of({**config_of(variant), **given}).max_positions == positions


@pytest.mark.parametrize(
    ("variant", "given", "window"),
    [
        ("qwen2-linear-rope", {"sliding_window": 64, "use_sliding_window": None}, 0),
        ("qwen2-linear-rope", {"sliding_window": 64, "use_sliding_window": True}, 0),
        ("qwen2-linear-rope", {"sliding_window": 64, "use_sliding_window": True,
                               "max_window_layers": 0}, 64),
        ("mistral-one-kv-head", {"sliding_window": None}, 0),
        ("mistral-one-kv-head", {"sliding_window": 100}, 100),
        ("mistral-one-kv-head", {"sliding_window": 512}, 0),
    ],
)  # fmt: skip
def test_the_window_of_a_model(variant: str, given: dict[str, Any], window: int) -> None:
    assert spec_of({**config_of(variant), **given}).window == window


def test_an_absent_window_of_mistral_is_the_one_of_transformers() -> None:
    config = {**config_of("mistral-one-kv-head"), "max_position_embeddings": 8192}
    del config["sliding_window"]

    assert spec_of(config).window == 4096


@pytest.mark.parametrize(
    ("variant", "has"),
    [("llama", True), ("mistral-one-kv-head", False), ("qwen2-linear-rope", False)],
)
def test_only_llamas_mlp_may_have_biases(variant: str, has: bool) -> None:
    """transformers makes none for the others, whatever the config says."""
    assert spec_of({**config_of(variant), "mlp_bias": True}).mlp_bias == has


def test_swish_is_silu() -> None:
    """Two names of one function."""
    assert spec_of({**BASE, "hidden_act": "swish"}) == spec_of(BASE)


def test_a_whole_file_goes_before_an_index_of_files_that_are_gone(tmp_path: Path) -> None:
    """As whoever merges the shards of a checkpoint leaves it."""
    write_checkpoint(tmp_path)
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    assert open_checkpoint(tmp_path).spec.hidden == 64


@pytest.mark.parametrize("table", [{}, {"weight_map": None}, {"weight_map": ["a"]}, 3])
def test_an_index_that_is_none(tmp_path: Path, table: object) -> None:
    file = write_checkpoint(tmp_path) / "model.safetensors"
    file.rename(tmp_path / "other.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(table))

    with pytest.raises(CheckpointError, match="weight_map must name files"):
        open_checkpoint(tmp_path)


def test_tensors_that_the_config_does_not_ask_for(tmp_path: Path) -> None:
    """They are of another model; but what older files have and a tied head are harmless."""
    file = write_checkpoint(tmp_path) / "model.safetensors"
    weights = load_file(file)
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(16, np.float32)
    save_file(weights, file)
    open_checkpoint(tmp_path)
    weights["model.layers.2.input_layernorm.weight"] = np.ones(64, np.float32)
    weights["model.layers.2.mlp.up_proj.weight"] = np.ones(64, np.float32)
    save_file(weights, file)

    with pytest.raises(CheckpointError, match="layers.2.input_layernorm.weight and 1 more is not"):
        open_checkpoint(tmp_path)


def test_a_tensor_of_another_shape(tmp_path: Path) -> None:
    """The tensor, the expected and the found shape."""
    file = write_checkpoint(tmp_path) / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"] = np.ones(65, np.float32)
    save_file(weights, file)

    with pytest.raises(CheckpointError, match=r"model.norm.weight: expected.*\(64,\).*\(65,\)"):
        open_checkpoint(tmp_path)


def test_a_missing_tensor(tmp_path: Path) -> None:
    file = write_checkpoint(tmp_path) / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file)

    with pytest.raises(CheckpointError, match="layers.1.mlp.up_proj.weight of shape .* missing"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("keep", [0, 7, 100, 20_000])
def test_a_truncated_file(tmp_path: Path, keep: int) -> None:
    """In the header or in the data: said to be truncated, or not valid."""
    file = write_checkpoint(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:keep])

    with pytest.raises(CheckpointError, match="model.safetensors: truncated"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "\xff", "[" * 100_000])
def test_a_config_that_is_no_config(tmp_path: Path, text: str) -> None:
    (write_checkpoint(tmp_path) / "config.json").write_text(text, encoding="latin-1")

    with pytest.raises(CheckpointError, match=r"config\.json"):
        open_checkpoint(tmp_path)


def test_an_index_may_not_leave_the_directory(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, shards=2)
    index = {"weight_map": {"model.norm.weight": "../secret.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(CheckpointError, match="must name files beside it"):
        open_checkpoint(tmp_path)


def test_a_new_weight_file_is_another_checkpoint(tmp_path: Path) -> None:
    """Packed weights are found by the identity: it changes with the files."""
    before = open_checkpoint(write_checkpoint(tmp_path)).identity
    file = tmp_path / "model.safetensors"
    weights = load_file(file)
    save_file(weights, file, metadata={"changed": "yes"})

    assert open_checkpoint(tmp_path).identity != before


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_tensor_is_read_in_f32(tmp_path: Path, dtype: type) -> None:
    """Exactly, whatever precision it lies in."""
    file = write_checkpoint(tmp_path) / "model.safetensors"
    weights = {name: values.astype(dtype) for name, values in load_file(file).items()}
    save_file(weights, file)

    found = open_checkpoint(tmp_path).tensor("model.layers.1.self_attn.k_proj.weight")

    assert found.dtype == np.float32
    assert np.array_equal(found, weights["model.layers.1.self_attn.k_proj.weight"])


def test_what_is_known_of_a_model_lies_in_its_own_directory(tmp_path: Path) -> None:
    """Its config, as it was written; and the files that text is made by."""
    found = open_checkpoint(write_checkpoint(tmp_path))

    assert found.config == config_of("llama")
    assert found.text == tmp_path and (found.text / "tokenizer.json").exists()
    assert (found.spec.architecture, found.dtype) == ("LlamaForCausalLM", "float32")


def test_the_base_of_frequencies_lies_in_either_table() -> None:
    """In that of transformers 5, or beside the older one."""
    tables = {"rope_parameters": {"rope_theta": 5e5}}, {"rope_theta": 5e5}

    assert [spec_of({**BASE, **table}).rope.theta for table in tables] == [5e5, 5e5]


def test_a_precision_that_is_not_read(tmp_path: Path) -> None:
    file = write_checkpoint(tmp_path) / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"] = np.ones(64, np.int8)
    save_file(weights, file)

    with pytest.raises(CheckpointError, match="model.norm.weight: dtype I8 is not supported"):
        open_checkpoint(tmp_path)


def test_a_tokenizer_in_other_files_is_put_into_the_store(tmp_path: Path, store: Path) -> None:
    """With all that is said of text beside it; made once, and anew where one of these changes."""
    path = write_checkpoint(tmp_path / "model", vocab_size=1100)
    (path / "tokenizer.json").unlink()
    (path / "additional_chat_templates").mkdir()
    for name in ("chat_template.jinja", "additional_chat_templates/rag.jinja"):
        (path / name).write_text(name)
    (path / "generation_config.json").write_text("{}")
    DIRECTORIES["llama"].write(path)
    (path / "config.json").write_text(json.dumps(config_of("llama") | {"vocab_size": 1100}))

    text = HuggingFaceCheckpoint(path, store).text
    assert {str(file.relative_to(text)) for file in text.rglob("*") if file.is_file()} == {
        "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
        "chat_template.jinja", "additional_chat_templates/rag.jinja",
    }  # fmt: skip
    assert HuggingFaceCheckpoint(path, store).text == text
    (path / "chat_template.jinja").write_text("another")
    again = HuggingFaceCheckpoint(path, store)
    assert (again.text / "chat_template.jinja").read_text() == "another"
    assert again.identity == HuggingFaceCheckpoint(path).identity


def test_a_tokenizer_json_goes_first(tmp_path: Path) -> None:
    """Beside whatever else."""
    path = write_checkpoint(tmp_path)
    shutil.copy(HERE / "llama.model", path / "tokenizer.model")

    assert open_checkpoint(path).text == path
