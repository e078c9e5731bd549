"""What tokens stand for, byte by byte."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import tokenizers
from tokenizers.processors import TemplateProcessing

from raylax.proto.text.quoting import Prompt
from raylax.proto.text.tokenizer import Tokenizer
from tests.proto.text.conftest import TEXTS
from tests.support.prompt_tokenizers import byte_level


def written(made: tokenizers.Tokenizer, directory: Path) -> Tokenizer:
    path = directory / "tokenizer.json"
    made.save(str(path))
    return Tokenizer(path)


@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_of_tokens_make_the_text(tokenizer: Tokenizer, text: str) -> None:
    """Each token's own, parts of characters and special tokens included."""
    ids = tokenizer.encode(text)
    joined = b"".join(tokenizer.bytes_of(token) for token in ids).decode()

    whole = tokenizer._tokenizer.decode(ids, skip_special_tokens=False)
    assert joined.removeprefix(" ") == whole.removeprefix(" ")  # metaspace begins with one


def test_what_is_put_around_a_text_is_around_a_quoted_one_too(tmp_path: Path) -> None:
    """Before it and behind it, and neither where the client does not want it."""
    made = byte_level(["<s>", "</s>"])
    ends = [(name, made.token_to_id(name)) for name in ("<s>", "</s>")]
    made.post_processor = TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    tokenizer, (begin, end) = written(made, tmp_path), (id for _, id in ends)
    quoted = Prompt("x</s>", ((1, 5),))

    plain = tokenizer.encode_prompt(quoted)
    assert not {begin, end} & set(plain)
    assert tokenizer.encode_prompt(quoted, True) == [begin, *plain, end]
    assert tokenizer.encode("x") == [begin, *tokenizer.encode("x", False), end]


@pytest.mark.parametrize(
    ("text", "whole"),
    [("a\ud83d", "a\ufffd"), ("\ude00", "\ufffd"), ("\ud83d\ude00", "\U0001f600")],
)
def test_halves_of_characters_do_not_reach_the_library(
    tokenizer: Tokenizer, text: str, whole: str
) -> None:
    """Programs can have them in their texts; both halves are a character."""
    assert tokenizer.encode(text) == tokenizer.encode(whole)


def test_only_special_tokens_are_special(tmp_path: Path) -> None:
    """A word of the vocabulary, and an added token that is none, are text."""
    tokenizer = written(byte_level(["<|end|>"], ["<tool>"]), tmp_path)
    found = {name: tokenizer.special_id(name) for name in ("<|end|>", "<tool>", "the", "nothing")}

    assert found == {**dict.fromkeys(found), "<|end|>": tokenizer.id_of("<|end|>")}


def test_a_panic_of_the_library_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are no Exception."""

    class PanicException(BaseException):
        pass

    def panic(_: str) -> None:
        raise PanicException("index out of bounds")

    monkeypatch.setattr("tokenizers.Tokenizer", SimpleNamespace(from_file=panic))
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({}))

    with pytest.raises(ValueError, match=r"tokenizer\.json: no tokenizer can be made of it: index"):
        Tokenizer(path)


@pytest.mark.parametrize("highest", [300_000, 5_000_000, 1 << 24])
def test_ids_of_no_token_are_few(tmp_path: Path, highest: int) -> None:
    """Something is put into each of them, which takes time and memory."""
    path = tmp_path / "tokenizer.json"
    byte_level(["<|end|>"]).save(str(path))
    content = json.loads(path.read_text())
    content["model"]["vocab"]["zz"] = highest
    path.write_text(json.dumps(content))

    with pytest.raises(ValueError, match="ids .* may be .*, found"):
        Tokenizer(path)
