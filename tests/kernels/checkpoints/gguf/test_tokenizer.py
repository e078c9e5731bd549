"""Tokenizers of GGUF files: the ids that llama.cpp gives to texts."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.checkpoints.gguf.tokenizer import text_files
from raylax.kernels.errors import CheckpointError
from raylax.proto.text.files import TextFiles
from tests.support.token_files import HERE, PRES, TEXTS, gguf_metadata

GOLDENS: dict[str, list[list[int]]] = json.loads((HERE / "llama_cpp.json").read_text())
TOKENS = "tokenizer.ggml.tokens"


@pytest.mark.parametrize("name", ["spm", "spm_bare", *PRES])
def test_a_text_has_the_ids_that_llama_cpp_gives_it(name: str, tmp_path: Path) -> None:
    """With what the file puts around it. Qwen's own tokenizer composes letters first, and
    llama.cpp does not."""
    for file, content in text_files(gguf_metadata(name), {}, tmp_path).items():
        (tmp_path / file).write_text(json.dumps(content))
    tokenizer = TextFiles(tmp_path).tokenizer()

    for text, want in zip(TEXTS, GOLDENS[name], strict=True):
        if name != "qwen2" or unicodedata.is_normalized("NFC", text):
            assert tokenizer._tokenizer.encode(text).ids == want, text


@pytest.mark.parametrize(
    ("name", "changed", "said"),
    [
        ("gpt-2", {"pre": "x"}, "pre 'x' is not supported; supported are a.x-4.0, "),
        ("gpt-2", {"pre": [1]}, r"pre \[1\] is not supported; supported are"),
        ("gpt-2", {"model": ["gpt2"]}, r"model \['gpt2'\] is not supported; supported are gpt2, l"),
        ("gpt-2", {"merges": ["a b c"]}, "must be pairs of tokens that make a third .*'a b c'"),
        ("gpt-2", {"merges": ["zz yy"]}, "must be pairs of tokens that make a third .*'zz yy'"),
        ("gpt-2", {"merges": [7]}, "must be pairs of tokens that make a third one, found '7'"),
        ("gpt-2", {"tokens": ["a"] * 804}, "803 tokens are there twice"),
        ("gpt-2", {"token_type": [1]}, "804 tokens have 1 types"),
        ("spm", {"scores": [1.0]}, "tokens have 1 scores"),
        ("spm", {"scores": [float("nan")] * 900}, "scores must be finite numbers"),
        ("spm", {"scores": ["a"] * 900}, "scores must be finite numbers"),
        ("spm", {"tokens": [*map(str, range(899)), "a" * 20000]}, "up to 268435456, found"),
    ],
)
def test_what_is_wrong_with_a_tokenizer_is_said(
    name: str, changed: dict[str, Any], said: str
) -> None:
    told = {f"tokenizer.ggml.{key}": value for key, value in changed.items()}

    with pytest.raises(CheckpointError, match=said) as refused:
        text_files(gguf_metadata(name) | told, {}, Path("model.gguf"))
    assert "\n" not in str(refused.value)


def test_tokens_without_a_text_are_told_apart(tmp_path: Path) -> None:
    """As llama.cpp names them."""
    metadata = gguf_metadata("gpt-2")
    metadata[TOKENS] = [*metadata[TOKENS], "", ""]
    metadata["tokenizer.ggml.token_type"] = [*metadata["tokenizer.ggml.token_type"], 1, 1]

    files = text_files(metadata, {}, tmp_path)
    assert list(files["tokenizer.json"]["model"]["vocab"])[-2:] == ["[EMPTY_804]", "[EMPTY_805]"]


def test_an_answer_ends_at_the_tokens_at_which_llama_cpp_ends_it(tmp_path: Path) -> None:
    """By their names, where they are no text; not only at those that the file numbers."""
    metadata = gguf_metadata("gpt-2")
    metadata["tokenizer.ggml.eot_token_id"] = 5
    ends = [metadata[TOKENS].index(token) for token in ("<|endoftext|>", "<|im_end|>")]

    found = text_files(metadata, {}, tmp_path)["generation_config.json"]["eos_token_id"]
    assert found == [5, *ends]
    metadata["tokenizer.ggml.token_type"] = [1] * len(metadata[TOKENS])
    found = text_files(metadata, {}, tmp_path)["generation_config.json"]["eos_token_id"]
    assert found == [5, ends[0]]


def test_tokens_whose_kinds_nobody_says_are_ordinary(tmp_path: Path) -> None:
    metadata = gguf_metadata("gpt-2")
    del metadata["tokenizer.ggml.token_type"]

    files = text_files(metadata, {}, tmp_path)
    assert files["tokenizer.json"]["added_tokens"] == []
    assert files["generation_config.json"]["eos_token_id"] == [800]
