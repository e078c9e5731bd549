"""GPT-2's `vocab.json` and `merges.txt`. How words are cut the tokenizer's class says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.text.byte_level import GPT2, QWEN2, Json, Words, byte_level
from raylax.kernels.checkpoints.text.merges import MOST_MERGES, check_count
from raylax.kernels.errors import CheckpointError

END = "<|endoftext|>"
CLASSES = {
    "GPT2Tokenizer": (Words((GPT2,)), dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)),
    "Qwen2Tokenizer": (
        Words((QWEN2,), composed=True),
        dict.fromkeys(("eos_token", "pad_token", "unk_token"), END),
    ),
}
"""Each with the special tokens that it has where nobody says."""
OF_MODELS = {"qwen2": "Qwen2Tokenizer", "qwen3": "Qwen2Tokenizer"}
"""By `model_type`, where no class is named."""


def class_of(config: Mapping[str, Any], model_type: object, where: Path) -> str:
    """Raises CheckpointError for one that is not known."""
    named = config.get("tokenizer_class") or OF_MODELS.get(str(model_type), "GPT2Tokenizer")
    name = str(named).removesuffix("Fast")
    if name not in CLASSES:
        raise CheckpointError(
            f"{where}: tokenizer_class {name!r} is not supported with a vocab.json; supported are "
            + ", ".join(CLASSES)
        )
    return name


def vocabulary_tokenizer(vocab: Any, merges: bytes, words: Words, where: Path) -> Json:
    """The contents of tokenizer.json, without what is added. `where`: the files' directory. Raises
    CheckpointError."""
    file = where / "vocab.json"
    if not isinstance(vocab, dict) or not vocab:
        raise CheckpointError(f"{file}: must be an object of tokens with their numbers")
    check_count(len(vocab), file)
    for token, id in vocab.items():
        if type(id) is not int or not 0 <= id < 1 << 24:
            raise CheckpointError(
                f"{file}: numbers of tokens must be in 0..{(1 << 24) - 1}, found {token!r}: {id!r}"
            )
    if len(set(vocab.values())) < len(vocab):
        raise CheckpointError(f"{file}: two of its tokens have the same number")
    return byte_level(vocab, read_merges(merges, vocab, where / "merges.txt"), words)


def read_merges(content: bytes, vocab: Mapping[str, int], where: Path) -> list[list[str]]:
    """Raises CheckpointError for lines that are no pairs of tokens, which make one."""
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{where}: not UTF-8: {error}") from None
    if len(lines) > MOST_MERGES:
        raise CheckpointError(f"{where}: may have {MOST_MERGES} lines, found {len(lines)}")
    merges: list[list[str]] = []
    for at, line in enumerate(lines, 1):
        line = line.removesuffix("\r")
        if not line or (at == 1 and line.startswith("#version")):
            continue
        pair = line.split(" ")
        if len(pair) != 2 or any(one not in vocab for one in (*pair, "".join(pair))):
            raise CheckpointError(
                f"{where}: line {at}: must be two tokens that make a third one, found {line[:60]!r}"
            )
        merges.append(pair)
    return merges
