"""SentencePiece's `tokenizer.model`: a protobuf message of a few fields.

https://github.com/google/sentencepiece, src/sentencepiece_model.proto
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raylax.kernels.checkpoints.text.charsmap import check_charsmap
from raylax.kernels.checkpoints.text.merges import check_count
from raylax.kernels.errors import CheckpointError

NORMAL, UNKNOWN, CONTROL, OURS, UNUSED, BYTE = range(1, 7)
"""Kinds of pieces: ours are its user's, which are found in text before it is cut."""
UNIGRAM, BPE = 1, 2
MODELS = {UNIGRAM: "unigram", BPE: "bpe", 3: "word", 4: "char"}
VARINT, FIXED64, SIZED, FIXED32 = 0, 1, 2, 5
Value = int | bytes
Fields = dict[int, Value]
"""The last value of each field, by number."""


@dataclass(frozen=True)
class PieceModel:
    """What such a file says, as far as text is concerned."""

    pieces: list[str]
    scores: list[float]
    kinds: list[int]
    unigram: bool
    byte_fallback: bool
    charsmap: bytes
    """How letters are replaced first; empty: not at all."""
    rule: str
    """What such a table was made of."""
    prefix: bool
    """Whether texts get a space in front."""
    fewer_spaces: bool
    """Whether spaces around texts are dropped, and those that follow another one."""
    names: dict[str, str]
    """Of the pieces with a part of their own: `bos_token` and its like."""

    @property
    def unknown(self) -> int:
        """The number of the piece for what no other stands for."""
        return self.kinds.index(UNKNOWN)


def read_piece_model(content: bytes, where: Path) -> PieceModel:
    """Raises CheckpointError for what is none, or asks for what is not known here."""
    pieces: list[str] = []
    scores: list[float] = []
    kinds: list[int] = []
    parts: dict[int, Fields] = {2: {}, 3: {}, 5: {}}
    for number, value in fields_of(content, where):
        if number == 1:
            check_count(len(pieces) + 1, where)
            one = dict(fields_of(sized(value, where), where))
            pieces.append(text(one.get(1, b""), where))
            scores.append(real(one.get(2), where))
            kinds.append(whole(one.get(3, NORMAL), where))
        elif number in parts:
            parts[number] |= dict(fields_of(sized(value, where), where))
    trainer, normalizer, back = parts.values()
    check_pieces(pieces, kinds, where)
    model = whole(trainer.get(3, UNIGRAM), where)
    refused = {
        f"its model is {MODELS.get(model, model)}": model not in (UNIGRAM, BPE),
        "spaces are put behind words": trainer.get(24, 0) != 0,
        "spaces are not escaped": normalizer.get(5, 1) == 0,
        "text is changed when tokens become text": bool(back.get(2)),
    }
    for why, holds in refused.items():
        if holds:
            raise CheckpointError(
                f"{where}: {why}, which is not supported; bpe and unigram models are"
            )
    byte_fallback = trainer.get(35, 0) != 0
    if byte_fallback and (missing := 256 - kinds.count(BYTE)):
        raise CheckpointError(f"{where}: {missing} of the 256 bytes that it asks for have no piece")
    if charsmap := sized(normalizer.get(2, b""), where):
        check_charsmap(charsmap, where)
    return PieceModel(
        pieces,
        scores,
        kinds,
        model == UNIGRAM,
        byte_fallback,
        charsmap,
        text(normalizer.get(1, b""), where),
        normalizer.get(3, 1) != 0,
        normalizer.get(4, 1) != 0,
        names_of(trainer, pieces, kinds, where),
    )


def check_pieces(pieces: list[str], kinds: list[int], where: Path) -> None:
    """Raises CheckpointError for pieces that SentencePiece itself would refuse."""
    if (count := kinds.count(UNKNOWN)) != 1:
        raise CheckpointError(f"{where}: must have one unknown piece, found {count}")
    if "" in pieces:
        raise CheckpointError(f"{where}: piece {pieces.index('')} is empty")
    if len(set(pieces)) < len(pieces):
        seen: set[str] = set()
        twice = next(one for one in pieces if one in seen or seen.add(one))  # type: ignore[func-returns-value]
        raise CheckpointError(f"{where}: piece {twice!r} is there twice")
    if strange := sorted({kind for kind in kinds if not NORMAL <= kind <= BYTE}):
        raise CheckpointError(
            f"{where}: kinds of pieces must be in {NORMAL}..{BYTE}, found {strange}"
        )


def names_of(trainer: Fields, pieces: list[str], kinds: list[int], where: Path) -> dict[str, str]:
    """The special tokens by the names that transformers has for them."""
    defaults = {"bos": (41, 46, "<s>"), "eos": (42, 47, "</s>"), "pad": (43, 48, "<pad>")}
    found = {"unk_token": pieces[kinds.index(UNKNOWN)]}
    for name, (_, field, default) in defaults.items():
        piece = text(trainer.get(field, default.encode()), where)
        if piece in pieces and kinds[pieces.index(piece)] == CONTROL:
            found[f"{name}_token"] = piece
    return found


def fields_of(data: bytes, where: Path) -> Iterator[tuple[int, Value]]:
    """A message's fields in order. Raises CheckpointError for one that was cut, or is none."""
    at = 0
    while at < len(data):
        key, at = varint(data, at, where)
        number, kind = key >> 3, key & 7
        if kind == VARINT:
            value, at = varint(data, at, where)
            yield number, value
            continue
        if kind == SIZED:
            size, at = varint(data, at, where)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise CheckpointError(
                f"{where}: is no SentencePiece model: byte {at} begins a field of type {kind}"
            )
        if number == 0 or size > len(data) - at:
            raise CheckpointError(
                f"{where}: is truncated, or no SentencePiece model: field {number} wants {size} "
                f"bytes, and there are {len(data) - at}"
            )
        yield number, data[at : at + size]
        at += size


def varint(data: bytes, at: int, where: Path) -> tuple[int, int]:
    """A number of at most ten bytes, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at == len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise CheckpointError(f"{where}: is truncated, or no SentencePiece model: a number has no end")


def sized(value: Value, where: Path) -> bytes:
    if isinstance(value, bytes):
        return value
    raise CheckpointError(f"{where}: is no SentencePiece model: a number stands for a message")


def whole(value: Value, where: Path) -> int:
    if isinstance(value, int):
        return value
    raise CheckpointError(f"{where}: is no SentencePiece model: a message stands for a number")


def text(value: Value, where: Path) -> str:
    try:
        return sized(value, where).decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{where}: a piece is not UTF-8: {error}") from None


def real(value: Value | None, where: Path) -> float:
    """A score of four bytes."""
    if value is None:
        return 0.0
    content = sized(value, where)
    score = float(struct.unpack("<f", content)[0]) if len(content) == 4 else math.nan
    if not math.isfinite(score):
        raise CheckpointError(f"{where}: scores of pieces must be finite, found {content!r}")
    return score
