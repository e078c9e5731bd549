"""Trains the small tokenizers that the goldens beside it are made with, on the repository's words.

python -m tests.goldens.tokenizers.train DIRECTORY   # where sentencepiece and tokenizers are

They lie here, since other words make others of them.
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

HERE = Path(__file__).parent
TEXTS: list[str] = json.loads((HERE / "texts.json").read_text())["texts"]
TRAINED_ON = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")
COMMON: dict[str, Any] = {
    "character_coverage": 0.995,
    "max_sentence_length": 100000,
    "num_threads": 1,
    "hard_vocab_limit": False,
    "minloglevel": 2,
}
PIECES: dict[str, dict[str, Any]] = {
    "llama": {  # as Llama 2's: nothing is changed, and what is not there is bytes
        "model_type": "bpe",
        "vocab_size": 900,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "byte_fallback": True,
        "split_digits": True,
        "allow_whitespace_only_pieces": True,
    },
    "gemma": {  # no space in front, and pieces that are found as they are
        "model_type": "bpe",
        "vocab_size": 900,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "add_dummy_prefix": False,
        "byte_fallback": True,
        "user_defined_symbols": ["<tool>", "</tool>", "\n\n"],
        "control_symbols": ["<|im_start|>", "<|im_end|>"],
    },
    "unigram": {  # letters are replaced first, and spaces dropped
        "model_type": "unigram",
        "vocab_size": 700,
        "normalization_rule_name": "nmt_nfkc",
        "byte_fallback": True,
    },
    "unknown": {  # no bytes: what is not there is unknown
        "model_type": "unigram",
        "vocab_size": 400,
        "normalization_rule_name": "identity",
        "user_defined_symbols": ["<tool>"],
    },
}


def words() -> list[str]:
    """Lines of text, and each awkward one several times."""
    lines = [line for name in TRAINED_ON for line in Path(name).read_text().splitlines()]
    return lines + [text.replace("\n", " ").replace("\0", "") for text in TEXTS] * 3


def train_pieces(out: Path) -> None:
    for name, options in PIECES.items():
        with (out / f"{name}.model").open("wb") as file:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(words()), model_writer=file, **COMMON, **options
            )


def train_bytes(out: Path) -> None:
    """vocab.json and merges.txt, and the same tokens as ranks."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=800, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(words() + TEXTS * 3, trainer)
    model = json.loads(made.to_str())["model"]
    vocab = {**model["vocab"], "<|endoftext|>": len(model["vocab"])}
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    merges = "\n".join(" ".join(merge) for merge in model["merges"])
    (out / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    letters = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    byte_of = {chr(b if b in letters else next(spare)): b for b in range(256)}
    lines = [
        f"{base64.b64encode(bytes(byte_of[one] for one in token)).decode()} {id}"
        for token, id in sorted(model["vocab"].items(), key=lambda one: one[1])
    ]
    (out / "ranks.tiktoken").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    train_pieces(Path(sys.argv[1]))
    train_bytes(Path(sys.argv[1]))
