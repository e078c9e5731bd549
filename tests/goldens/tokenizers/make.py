"""Writes what transformers, SentencePiece and tiktoken make of the texts and tokenizers beside it.

python -m tests.goldens.tokenizers.make   # where transformers 4.57, sentencepiece, tiktoken are

Newer ones of transformers have no tokenizers any more that call SentencePiece itself.
"""

import base64
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

import sentencepiece
import tiktoken
from tiktoken_ext import openai_public
from transformers import AutoTokenizer, LlamaTokenizer, LlamaTokenizerFast

from tests.support.token_files import DIRECTORIES, HERE, PATTERN, TEXTS, TIKTOKEN, Directory

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""As Meta and Qwen have them in their own code."""
OWN: dict[str, dict[str, Any]] = {
    "llama3": {"pat_str": LLAMA3, "special_tokens": {"<|begin_of_text|>": 0, "<|eot_id|>": 9}},
    "tekken": {
        "pat_str": PATTERN,
        "special_tokens": {"<unk>": 0, "<s>": 1, "</s>": 2, "[INST]": 3, "[/INST]": 4, "<tool>": 5},
    },
    "qwen": {
        "pat_str": LLAMA3.replace("{1,3}", ""),
        "special_tokens": {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2},
    },
}


def golden(ids: list[list[int]], texts: list[str]) -> dict[str, Any]:
    return {"ids": ids, "texts": texts}


def of_transformers(directory: Directory, path: Path) -> dict[str, Any]:
    """By both kinds of tokenizers."""
    out = {}
    for kind in ("fast", "slow"):
        fast = kind == "fast"
        if "tokenizer.model" in directory.files:
            made = LlamaTokenizerFast if fast else LlamaTokenizer
            tokenizer = made.from_pretrained(path, **({"from_slow": True} if fast else {}))
        else:
            tokenizer = AutoTokenizer.from_pretrained(path, use_fast=fast)
        ids = [tokenizer(text)["input_ids"] for text in TEXTS]
        how = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
        out[kind] = golden(ids, [tokenizer.decode(one, **how) for one in ids])
    return out


def of_sentencepiece(file: Path) -> dict[str, Any]:
    """By itself: special tokens are text."""
    made = sentencepiece.SentencePieceProcessor(model_file=str(file))
    ids = [made.encode(text) for text in TEXTS]
    return {"sentencepiece": golden(ids, [made.decode(one) for one in ids])}


def of_tiktoken(name: str) -> dict[str, Any]:
    """By its own patterns, but with the tokens here."""
    lines = (HERE / "ranks.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(a): int(b) for a, b in (line.split() for line in lines)}
    with patch.object(openai_public, "load_tiktoken_bpe", lambda *_, **__: ranks):
        told = OWN[name] if name in OWN else getattr(openai_public, TIKTOKEN[name])()
    shift = len(ranks) if name in ("llama3", "qwen") else 0
    if name == "tekken":
        ranks = {token: id + 20 for token, id in ranks.items() if id < 750}
    special = {token: id + shift for token, id in told["special_tokens"].items()}
    made = tiktoken.Encoding(
        name, pat_str=told["pat_str"], mergeable_ranks=ranks, special_tokens=special
    )
    ids = [made.encode(text, allowed_special="all") for text in TEXTS]
    texts = [made.decode([id for id in one if id not in special.values()]) for one in ids]
    begins = {"llama3": "<|begin_of_text|>", "tekken": "<s>"}
    first = [special[begins[name]]] if name in begins else []
    return {"tiktoken": golden([first + one for one in ids], texts)}


def main() -> None:
    goldens: dict[str, Any] = {}
    for name, directory in DIRECTORIES.items():
        if name in TIKTOKEN:
            goldens[name] = of_tiktoken(name)
            continue
        with tempfile.TemporaryDirectory() as path:
            goldens[name] = of_transformers(directory, directory.write(Path(path)))
        if file := directory.files.get("tokenizer.model"):
            goldens[name] |= of_sentencepiece(HERE / file)
    lines = [f" {json.dumps(name)}: {json.dumps(one)}" for name, one in goldens.items()]
    (HERE / "goldens.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
