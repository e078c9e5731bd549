"""Tokenizers of every kind of files: the ids and the texts that other implementations make."""

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from raylax.kernels.checkpoints.text.directory import text_files
from raylax.proto.text.detokenizer import Detokenizer
from raylax.proto.text.files import TextFiles
from raylax.proto.text.quoting import Prompt
from raylax.proto.text.tokenizer import Tokenizer
from tests.support.token_files import DIRECTORIES, HERE, TEXTS, pieces

GOLDENS: dict[str, dict[str, Any]] = json.loads((HERE / "goldens.json").read_text())
ALIKE = (
    "llama", "llama_alone", "llama_ends", "llama_no_space",
    "gpt2", "gpt2_begun", "qwen2", "qwen2_older",
)  # fmt: skip
"""Both of transformers' tokenizers are the same, and ours is, too."""
FAST = ("llama_new", "llama_added", "gemma", "gpt2_space")
"""They are not where spaces come first, or control pieces: ours is what most people have."""
SLOW = {
    "unigram": ("!!!???...---___***", "\u1e9b\u0323"),
    "unigram_new": ("!!!???...---___***", "\u1e9b\u0323"),
    "unknown": ("a" * 100, "<tool> call </tool>", "a<tool>b<tool>c", "  <tool>  "),
}
"""The fast one leaves out what the model's file says of letters and spaces. Of texts that can be
cut in several ways, all as likely, another one is taken; marks are composed with what a letter
becomes; and pieces of the user's own are found before a space is put in front."""
HIDDEN = ("unknown", "qwen2_older")
"""Others leave out what is unknown, and whatever added_tokens.json has."""
SPARSE = ("gpt4o", "cl100k", "r50k")
"""Their special tokens lie far behind the few others here: it takes seconds to fill the room."""
UNKNOWN = 0
SPECIAL = ("<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>")


@cache
def written(name: str, tmp: Path) -> Path:
    """A directory with a tokenizer.json that was made of the other files there."""
    directory = DIRECTORIES[name]
    path = directory.write(tmp / name)
    for file, content in text_files(path, directory.model_type).items():
        (path / file).write_text(json.dumps(content))
    return path


@cache
def made(name: str, tmp: Path) -> Tokenizer:
    return TextFiles(written(name, tmp)).tokenizer()


@pytest.fixture(scope="module")
def tmp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokenizers")


def library(name: str, tmp: Path) -> tokenizers.Tokenizer:
    """What ours is made of: it puts around a text what belongs there though it be there already."""
    if name in SPARSE:
        return tokenizers.Tokenizer.from_file(str(written(name, tmp) / "tokenizer.json"))
    return made(name, tmp)._tokenizer


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, kind) for name in ALIKE for kind in ("fast", "slow")),
        *((name, "fast") for name in FAST),
        *((name, "slow") for name in SLOW),
        *((name, "tiktoken") for name, one in GOLDENS.items() if "tiktoken" in one),
    ],
)
def test_a_text_has_the_ids_that_others_give_it(name: str, kind: str, tmp: Path) -> None:
    tokenizer, want = library(name, tmp), GOLDENS[name][kind]["ids"]

    found = [tokenizer.encode(text).ids for text in TEXTS]
    others = {text for text, a, b in zip(TEXTS, found, want, strict=True) if a != b}
    assert others == set(SLOW.get(name, ()) if kind == "slow" else ())


@pytest.mark.parametrize("name", [name for name in GOLDENS if name not in (*HIDDEN, *SPARSE)])
def test_tokens_have_the_text_that_others_make_of_them(name: str, tmp: Path) -> None:
    """And the same one by one, as they come."""
    tokenizer, golden = made(name, tmp), GOLDENS[name]
    kind = next(kind for kind in ("tiktoken", "fast") if kind in golden)

    for ids, text in zip(golden[kind]["ids"], golden[kind]["texts"], strict=True):
        streamed = Detokenizer(tokenizer)
        assert tokenizer.decode(ids) == text
        assert "".join([*(streamed.add([id]) for id in ids), streamed.finish()]) == text


@pytest.mark.parametrize("name", ["llama", "gemma", "unigram"])
def test_text_without_special_tokens_is_cut_as_sentencepiece_cuts_it(name: str, tmp: Path) -> None:
    tokenizer, golden = made(name, tmp), GOLDENS[name]["sentencepiece"]

    for text, ids in zip(TEXTS, golden["ids"], strict=True):
        if text not in SLOW.get(name, ()) and not any(token in text for token in SPECIAL):
            assert tokenizer.encode(text, add_special_tokens=False) == ids, text


@pytest.mark.parametrize("name", [name for name in GOLDENS if name not in SPARSE])
def test_what_clients_write_like_special_tokens_is_text(name: str, tmp: Path) -> None:
    """Whatever the model could take for words: no such token is made of it, and none of its letters
    is lost. What is not quoted is what it is without."""
    tokenizer = made(name, tmp)
    special = tokenizer._special
    names = list(map(tokenizer.name_of, sorted(special)))
    text = "".join(f"a{name}b" for name in names[:8])

    ids = tokenizer.encode_prompt(Prompt(text, ((0, len(text)),)))
    assert len(names) > 0
    assert not special.difference({UNKNOWN} if name == "unknown" else ()).intersection(ids)
    if name != "unknown":
        assert tokenizer.decode(ids).replace(" ", "") == text.replace(" ", "")
    plain = tokenizer.encode_prompt(Prompt("Hello, world!", ((0, 5),)))
    assert plain == tokenizer.encode("Hello, world!", add_special_tokens=False)


@pytest.mark.parametrize(
    ("config", "first", "last"),
    [
        ({"tokenizer_class": "T5Tokenizer"}, 11, 2),
        ({"tokenizer_class": "T5TokenizerFast", "add_eos_token": False}, 11, 11),
        ({"bos_token": "</s>"}, 2, 11),
        ({"add_bos_token": False}, 11, 11),
        ({"add_bos_token": None, "add_eos_token": True}, 1, 2),
        ({"bos_token": "<none>"}, 11, 11),
    ],
)
def test_settings_say_what_is_put_around_a_text(
    config: dict[str, Any], first: int, last: int, tmp_path: Path
) -> None:
    """And the class, where they do not. 11 stands for the text's own."""
    path = pieces("unknown", config).write(tmp_path)
    made = text_files(path, "llama")["tokenizer.json"]
    ids = tokenizers.Tokenizer.from_str(json.dumps(made)).encode("a").ids

    assert [id if id < 3 else 11 for id in (ids[0], ids[-1])] == [first, last]


RUNS = [" ", "\n", "\t ", "\u2581", "\u0301", "aB", "\u4e16", "!", "1", "\U0001f600", "\r\n"]


@pytest.mark.parametrize("name", [name for name in GOLDENS if name not in SPARSE])
def test_a_long_run_takes_no_longer_than_its_length(name: str, tmp: Path) -> None:
    """Whatever it is of: a regular expression may look at its rest from each place in it, which
    takes minutes here."""
    tokenizer = made(name, tmp)
    began = time.process_time()
    for run in RUNS:
        tokenizer.encode(run * (20_000 // len(run)) + "x")

    assert time.process_time() - began < 3.0
