"""SentencePiece's pieces in the words of the `tokenizers` library.

They have no list of merges: whichever neighbours make the piece of the highest score are merged
first (https://github.com/google/sentencepiece). Such a list follows from the scores.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raylax.kernels.checkpoints.text.merges import merges_of
from raylax.kernels.checkpoints.text.sentencepiece import BYTE, CONTROL, NORMAL, OURS, UNKNOWN

Json = dict[str, Any]
SPACE = "\u2581"
TILDE, NOBODYS = "\uff5e", "\ufdd0"
FAR_BELOW = 1000.0
"""Nothing is as unlikely as this, in logarithms."""


@dataclass(frozen=True)
class Cutting:
    """How a text is changed before it is cut into pieces."""

    prefix: bool
    """Whether it gets a space in front."""
    anew: bool = True
    """Whether so does what follows a special token: older tokenizers (`legacy`) have it so."""
    charsmap: bytes = b""
    """How letters are replaced first."""
    rule: str = ""
    """What such a table was made of."""
    fewer_spaces: bool = False
    """Whether spaces around it are dropped, and those that follow another one."""


def pieces_tokenizer(model: Json, cutting: Cutting) -> Json:
    """The contents of tokenizer.json, without what is added."""
    steps = letters_replaced(cutting.charsmap, cutting.rule) if cutting.charsmap else []
    if cutting.fewer_spaces:
        end = rf"(?<![ {SPACE}])[ {SPACE}]+\z"  # looked for once in a run of spaces
        outer = rf"\A +|{end}" if cutting.anew else end
        steps += [replaced(outer, "", regex=True), replaced(" {2,}", " ", regex=True)]
    before: Json | None = None
    if cutting.anew:
        steps += [{"type": "Prepend", "prepend": SPACE}] if cutting.prefix else []
        steps.append(replaced(" ", SPACE))
    else:
        scheme = "first" if cutting.prefix else "never"
        before = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme}
        before["split"] = False
    stripped = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if cutting.prefix else []
    bytes_too = [{"type": "ByteFallback"}] if model["byte_fallback"] else []
    decoders = [replaced(SPACE, " "), *bytes_too, {"type": "Fuse"}, *stripped]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": steps} if steps else None,
        "pre_tokenizer": before,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": model,
    }


def letters_replaced(charsmap: bytes, rule: str) -> list[Json]:
    """The library takes a letter with its marks for one, and for what its beginning becomes: marks
    would be lost. So letters and marks that are one by the rule are composed before; but for a wide
    tilde, which SentencePiece's own rules for translation leave alone."""
    table: Json = {"type": "Precompiled", "precompiled_charsmap": b64encode(charsmap).decode()}
    composed: Json = {"type": "NFKC"}
    match rule.removesuffix("_cf"):
        case "nfkc":
            return [composed, table]
        case "nmt_nfkc":
            return [replaced(TILDE, NOBODYS), composed, replaced(NOBODYS, TILDE), table]
    return [table]


def merged_pieces(
    pieces: Sequence[str],
    scores: Sequence[float],
    kinds: Sequence[int],
    byte_fallback: bool,
    where: object,
) -> Json:
    """The model of a byte pair encoding. Raises CheckpointError."""
    made = [id for id, kind in enumerate(kinds) if kind not in (UNKNOWN, CONTROL, BYTE)]
    unknown = pieces[kinds.index(UNKNOWN)] if UNKNOWN in kinds else None
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": unknown,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": byte_fallback,
        "ignore_merges": False,
        "vocab": {piece: id for id, piece in enumerate(pieces)},
        "merges": merges_of(pieces, scores, where, made),
    }


def likely_pieces(
    pieces: Sequence[str],
    scores: Sequence[float],
    kinds: Sequence[int],
    byte_fallback: bool,
) -> Json:
    """The model that takes the likeliest pieces, of those that text is made of."""
    text = [kind in (NORMAL, OURS) for kind in kinds]
    least = min((score for score, of in zip(scores, text, strict=True) if of), default=0.0)
    other = least - FAR_BELOW
    return {
        "type": "Unigram",
        "unk_id": kinds.index(UNKNOWN),
        "byte_fallback": byte_fallback,
        "vocab": [
            [piece, score if of else other]
            for piece, score, of in zip(pieces, scores, text, strict=True)
        ],
    }


def replaced(found: str, by: str, regex: bool = False) -> Json:
    """A step that replaces a text, or what a regular expression finds."""
    return {"type": "Replace", "pattern": {"Regex" if regex else "String": found}, "content": by}
