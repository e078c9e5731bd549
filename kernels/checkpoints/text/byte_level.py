"""Byte pair encodings as GPT-2's, whose letters are bytes: how text is cut into words first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SHORT = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORDS = SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
SIGNS = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
BEFORE = r"[^\r\n\p{L}\p{N}]?"
CL100K = WORDS + "{1,3}" + REST
QWEN2 = WORDS + REST
TEKKEN = rf"{BEFORE}{UPPER}*{LOWER}+|{BEFORE}{UPPER}+{LOWER}*|\p{{N}}{SIGNS}"
O200K = rf"{BEFORE}{UPPER}*{LOWER}+{SHORT}?|{BEFORE}{UPPER}+{LOWER}*{SHORT}?|\p{{N}}{{1,3}}{SIGNS}"


@dataclass(frozen=True)
class Words:
    """How text is cut before bytes are merged."""

    patterns: tuple[str, ...]
    """Regular expressions, one after another: what one finds is a word, and what lies between."""
    composed: bool = False
    """Whether letters and their marks become one (NFC)."""
    whole_first: bool = False
    """Whether words that are tokens are taken whole, however they would be merged."""
    prefix: bool = False
    """Whether texts get a space in front."""


def byte_level(vocab: Mapping[str, int], merges: Sequence[Sequence[str]], words: Words) -> Json:
    """The contents of tokenizer.json, without what is added. `vocab`: in GPT-2's letters."""
    own = {"type": "ByteLevel", "add_prefix_space": words.prefix, "trim_offsets": True}
    cuts = [
        {"type": "Split", "pattern": {"Regex": one}, "behavior": "Isolated", "invert": False}
        for one in words.patterns
    ]
    steps = [*cuts, {**own, "use_regex": False}]
    if words.patterns[-1:] == (GPT2,):  # a space in front comes before that cut
        steps = [*cuts[:-1], {**own, "use_regex": True}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "NFC"} if words.composed else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": {**own, "use_regex": True, "trim_offsets": False},
        "decoder": {**own, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": words.whole_first,
            "vocab": dict(vocab),
            "merges": [list(merge) for merge in merges],
        },
    }


def letters() -> dict[int, str]:
    """The letter that stands for each byte (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return {byte: chr(byte if byte in printable else next(spare)) for byte in range(256)}
