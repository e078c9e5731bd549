"""Files of tokens that are damaged, lie, or are of an unknown kind: one line each, and soon."""

import json
import struct
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers

from raylax.kernels.checkpoints.text.charsmap import check_charsmap
from raylax.kernels.checkpoints.text.directory import text_files
from raylax.kernels.checkpoints.text.sentencepiece import read_piece_model
from raylax.kernels.errors import CheckpointError
from tests.support.token_files import DIRECTORIES, HERE, tekken

PIECES, RANKS = "tokenizer.model", "qwen.tiktoken"
SOON_S = 20.0
"""On a busy machine; what is refused takes a hundredth."""


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def sized(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def piece(text: str | bytes, kind: int = 1, score: float = 0.0) -> bytes:
    content = text.encode() if isinstance(text, str) else text
    value = b"\x15" + struct.pack("<f", score)
    return sized(1, sized(1, content) + value + b"\x18" + varint(kind))


UNK = piece("<unk>", 2)
BPE = sized(2, b"\x18\x02")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must have one unknown piece, found 0"),
        (piece("a"), "must have one unknown piece, found 0"),
        (UNK + piece("<u>", 2), "must have one unknown piece, found 2"),
        (UNK + piece("a") + piece("a"), "piece 'a' is there twice"),
        (UNK + piece(""), "piece 1 is empty"),
        (UNK + piece(b"\xff"), "a piece is not UTF-8"),
        (UNK + piece("a", 9), r"kinds of pieces must be in 1..6, found \[9\]"),
        (UNK + piece("a", score=float("nan")), "scores of pieces must be finite"),
        (UNK + b"\x0a" + varint(1 << 63) + b"x", "field 1 wants 9223372036854775808 bytes, and th"),
        (UNK + b"\x0a\x05ab", "is truncated, or no SentencePiece model"),
        (UNK + b"\xff" * 12, "a number has no end"),
        (UNK + b"\x08\x05", "a number stands for a message"),
        (UNK + sized(1, sized(3, b"x")), "a message stands for a number"),
        (UNK + b"\x0b", "begins a field of type 3"),
        (UNK + sized(2, b"\x18\x03"), "its model is word, which is not supported"),
        (UNK + sized(2, b"\x18\x63"), "its model is 99, which is not supported"),
        (UNK + sized(2, b"\xc0\x01\x01"), "spaces are put behind words, which is not supported"),
        (UNK + sized(2, b"\x98\x02\x01"), "256 of the 256 bytes that it asks for have no piece"),
        (UNK + sized(3, b"\x28\x00"), "spaces are not escaped"),
        (UNK + sized(3, sized(2, b"\x08\0\0\0abc")), "its table of letters .* is truncated"),
        (UNK + sized(3, sized(2, b"\x04\0\0\0\0\0\0\0\0")), "its table of letters .* points out"),
        (UNK + sized(5, sized(2, b"x")), "text is changed when tokens become text"),
        (UNK + BPE + piece("a" * 20000), "lengths may add up to 268435456, found 400000000"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "no SentencePiece model"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_pieces_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / PIECES).write_bytes(content)

    refused(tmp_path, said)


def refused(path: Path, said: str, model_type: str = "llama") -> None:
    """With one line, that has the directory."""
    began = time.monotonic()
    with pytest.raises(CheckpointError, match=said) as why:
        text_files(path, model_type)
    assert "\n" not in str(why.value)
    assert str(path) in str(why.value)
    assert time.monotonic() - began < SOON_S


def line(token: bytes, rank: object) -> bytes:
    return b64encode(token) + f" {rank}\n".encode()


ALL = b"".join(line(bytes([byte]), byte) for byte in range(256))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (line(b"a", 0), "255 bytes have no token, 0 first"),
        (ALL + b"YWE 256\n", r"line 257: must be base64, a space and a number, found b'YWE 256'"),
        (ALL + b"YWE= 256 7\n", "line 257: must be base64"),
        (ALL + b"YWE= -1\n", "line 257: must be base64"),
        (ALL + line(b"aa", 1 << 63), "line 257: must be base64"),
        (ALL + line(b"aa", 1 << 20), "line 257: tokens and numbers must be there once, and be bel"),
        (ALL + line(b"a", 256), "line 257: tokens and numbers must be there once"),
        (ALL + line(b"aa", 255), "line 257: tokens and numbers must be there once"),
        (ALL + line(b"a" * 20000, 256), "lengths may add up to 268435456"),
    ],
)
def test_what_is_wrong_with_ranks_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / RANKS).write_bytes(content)

    refused(tmp_path, said)


def test_ranks_of_an_unknown_family_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tiktoken").write_bytes(ALL)

    refused(tmp_path, "not known for model_type 'mamba'; known are llama, qwen, cl100k", "mamba")


def changed(file: str, content: Any) -> Callable[[Path], object]:
    written = content if isinstance(content, str) else json.dumps(content)
    return lambda path: (path / file).write_text(written)


SETTINGS = "tokenizer_config.json"
TOKEN = {"content": "<x>", "special": True}


@pytest.mark.parametrize("name", ["tokenizer.model", "tekken.json", "x.tiktoken"])
def test_a_file_of_tokens_is_of_a_bounded_size(name: str, tmp_path: Path) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(40 << 20)

    refused(tmp_path, f"{name}: may have 33554432 bytes, found 41943040")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (changed("vocab.json", []), "must be an object of tokens"),
        (
            changed("vocab.json", {"a": -1}),
            "numbers of tokens must be in 0..16777215, found 'a': -",
        ),
        (changed("vocab.json", {"a": 1 << 63}), "numbers of tokens must be in"),
        (changed("vocab.json", {"a": 1.5}), "numbers of tokens must be in"),
        (changed("vocab.json", {"a": 1, "b": 1}), "two of its tokens have the same number"),
        (changed("vocab.json", "{"), "not valid JSON"),
        (changed("merges.txt", "#version: 0.2\na b c\n"), "line 2: must be two tokens that make"),
        (changed("merges.txt", "#version: 0.2\na \u4e16\n"), "line 2: must be two tokens that ma"),
        (changed(SETTINGS, []), "must be a JSON object"),
        (changed(SETTINGS, {"tokenizer_class": "BertTokenizer"}), "'BertTokenizer' is not suppor"),
        (changed(SETTINGS, {"added_tokens_decoder": 3}), "must have tokens by number, found 3"),
        (changed(SETTINGS, {"added_tokens_decoder": {"9": "x"}}), "tokens by number, found '9': '"),
        (changed(SETTINGS, {"added_tokens_decoder": {"-1": TOKEN}}), "must be in 0..1048575, fou"),
        (changed(SETTINGS, {"added_tokens_decoder": {"x": TOKEN}}), "must be in 0..1048575, found"),
        (changed(SETTINGS, {"added_tokens_decoder": {"7": TOKEN}}), "'<x>' is declared as 7, and"),
        (changed("added_tokens.json", {"<x>": "1e9"}), "must be in 0..1048575, found '1e9'"),
    ],
)
def test_what_is_wrong_with_a_vocabulary_is_said(
    spoil: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    spoil(DIRECTORIES["gpt2"].write(tmp_path))

    refused(tmp_path, said, "gpt2")


WORD = {"rank": 0, "token_bytes": "AA=="}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"config": 3}, "config must be an object with a pattern"),
        ({"config": {"pattern": 3}}, "config must be an object with a pattern"),
        ({"config": {"pattern": "x"}}, "default_num_special_tokens must be a number of tokens, fo"),
        ({"vocab": [WORD] * 3}, "vocab must be a list of at least 750 tokens"),
        ({"vocab": [WORD] * 800}, "token 1 of vocab must have this rank, and bytes in base64"),
        ({"vocab": [{**WORD, "token_bytes": "A"}] * 800}, "token 0 of vocab must have this rank"),
        ({"vocab": [{**WORD, "rank": at} for at in range(800)]}, "749 tokens are there twice"),
        ({"special_tokens": [{"rank": 20, "token_str": "x"}]}, "and ranks below 20, found"),
        ({"special_tokens": "x"}, "special_tokens must have texts, and ranks below 20, found"),
    ],
)
def test_what_is_wrong_with_a_tekken_json_is_said(
    fields: dict[str, Any], said: str, tmp_path: Path
) -> None:
    changed("tekken.json", tekken() | fields)(tmp_path)

    refused(tmp_path, said)


def test_a_number_that_is_declared_is_kept(tmp_path: Path) -> None:
    """Though others between it and the vocabulary stand for nothing."""
    path = DIRECTORIES["gpt2"].write(tmp_path)
    changed(SETTINGS, {"added_tokens_decoder": {"900": TOKEN}})(path)

    made = text_files(path, "gpt2")["tokenizer.json"]
    assert made["model"]["vocab"]["<x>"] == 900
    assert made["added_tokens"][0]["id"] == 900


def test_a_table_of_letters_whose_first_unit_points_outside_is_refused() -> None:
    """Also if it says that it is none which others follow."""
    where = HERE / "unigram.model"
    content = bytearray(read_piece_model(where.read_bytes(), where).charsmap)
    content[4:8] = (1 << 31 | (1 << 21)).to_bytes(4, "little")

    with pytest.raises(CheckpointError, match="points outside"):
        check_charsmap(bytes(content), "tokenizer.model")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_table_of_letters_is_refused_or_does_no_harm(data: st.DataObject) -> None:
    """The library that reads it would come to a bad end at a letter of a client's."""
    where = HERE / "unigram.model"
    content = bytearray(read_piece_model(where.read_bytes(), where).charsmap)
    rng = data.draw(st.randoms(use_true_random=False))
    for _ in range(rng.choice([1, 10, 1000])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    try:
        check_charsmap(bytes(content), "tokenizer.model")
    except CheckpointError:
        return
    normalizer = normalizers.Precompiled(bytes(content))
    for letter in map(chr, range(0x3400)):
        normalizer.normalize_str(letter)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_model_is_read_or_refused(data: st.DataObject) -> None:
    """Whatever bytes are cut off or changed."""
    content = bytearray((HERE / "unknown.model").read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        model = read_piece_model(bytes(content[:cut]), Path("tokenizer.model"))
    except CheckpointError as why:
        assert "tokenizer.model: " in str(why)
    else:
        assert len(model.pieces) == len(model.scores) == len(model.kinds)
