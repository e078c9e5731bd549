"""SentencePiece's byte pair encoding in the words of the `tokenizers` library.

It has no list of merges: whichever neighbours make the piece of the highest score are merged first
(https://github.com/google/sentencepiece). Such a list follows from the scores.
"""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
SPACE = "\u2581"


def merges_of(pieces: Sequence[str], scores: Sequence[float]) -> list[list[str]]:
    """Pairs of pieces, the first to be merged first. A pair of one score with another goes by the
    numbers of its pieces."""
    ids = {piece: id for id, piece in enumerate(pieces)}
    found: list[tuple[float, int, int, int]] = []
    for piece, score in zip(pieces, scores, strict=True):
        for at in range(1, len(piece)):
            left, right = ids.get(piece[:at]), ids.get(piece[at:])
            if left is not None and right is not None:
                found.append((-score, len(found), left, right))
    found.sort(key=lambda one: (one[0], one[2], one[3]))
    return [[pieces[left], pieces[right]] for _, _, left, right in found]


def pieces_tokenizer(pieces: Sequence[str], merges: list[list[str]], prefix: bool) -> Json:
    """The contents of tokenizer.json, without what is added. `prefix`: whether texts get a space in
    front."""
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    begun = [{"type": "Prepend", "prepend": SPACE}] if prefix else []
    spaces = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    stripped = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefix else []
    return {
        "normalizer": {"type": "Sequence", "normalizers": [*begun, replace]},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [spaces, {"type": "ByteFallback"}, {"type": "Fuse"}, *stripped],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>" if "<unk>" in pieces else None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: id for id, piece in enumerate(pieces)},
            "merges": merges,
        },
    }
