"""Mistral's `tekken.json`: tiktoken's ranks behind the special tokens, and how words are cut."""

import re
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.text.added import added, put_in
from raylax.kernels.checkpoints.text.byte_level import Json
from raylax.kernels.checkpoints.text.merges import check_count
from raylax.kernels.checkpoints.text.ranks import check_bytes, ranks_tokenizer
from raylax.kernels.errors import CheckpointError

BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")
OLDER = (
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] "
    "[/TOOL_RESULTS] [TOOL_CALLS] [IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX]"
)
"""The special tokens of files that list none."""
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def tekken_tokenizer(told: Any, where: Path) -> Json:
    """The contents of tokenizer.json. Raises CheckpointError for a file that is none."""
    config = told.get("config") if isinstance(told, dict) else None
    pattern = config.get("pattern") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(pattern, str):
        raise CheckpointError(f"{where}: config must be an object with a pattern")
    own = count_in(config, "default_num_special_tokens", where)
    size = count_in(config, "default_vocab_size", where)
    ranks = {token: id + own for id, token in enumerate(words_of(told, size - own, where))}
    check_bytes(ranks, where)
    made = ranks_tokenizer(ranks, pattern, where)
    put_in(
        made, [added(id, token, special=True) for id, token in special_of(told, own, where)], where
    )
    return made


def count_in(config: Mapping[str, Any], name: str, where: Path) -> int:
    """Raises CheckpointError for what is no number of tokens."""
    count = config.get(name)
    if type(count) is not int or count < 0:
        raise CheckpointError(f"{where}: {name} must be a number of tokens, found {count!r}")
    check_count(count, where)
    return count


def words_of(told: Mapping[str, Any], count: int, where: Path) -> list[bytes]:
    """The bytes of the first tokens, in order. Raises CheckpointError."""
    listed = told.get("vocab")
    if not isinstance(listed, list) or len(listed) < count or count < 0:
        raise CheckpointError(f"{where}: vocab must be a list of at least {count} tokens")
    words: list[bytes] = []
    for at, one in enumerate(listed[:count]):
        text = one.get("token_bytes") if isinstance(one, dict) else None
        good = isinstance(text, str) and BASE64.fullmatch(text) and len(text) % 4 == 0
        if not good or one.get("rank") != at:
            raise CheckpointError(
                f"{where}: token {at} of vocab must have this rank, and bytes in base64"
            )
        words.append(b64decode(str(text)))
    if len(set(words)) < count:
        raise CheckpointError(f"{where}: {count - len(set(words))} tokens are there twice")
    return words


def special_of(told: Mapping[str, Any], count: int, where: Path) -> list[tuple[int, str]]:
    """The special tokens, by number: those that are listed, and names for the rest. Raises
    CheckpointError."""
    listed = told.get("special_tokens") or [
        {"rank": at, "token_str": token} for at, token in enumerate(OLDER.split())
    ]
    named: dict[int, str] = {}
    for one in listed if isinstance(listed, list) else [None]:
        rank, text = (
            (one.get("rank"), one.get("token_str")) if isinstance(one, dict) else (None, None)
        )
        if type(rank) is not int or not 0 <= rank < count or not isinstance(text, str) or not text:
            raise CheckpointError(
                f"{where}: special_tokens must have texts, and ranks below {count}, found "
                f"{one!r:.60}"
            )
        named[rank] = text
    return [(id, named.get(id, f"<SPECIAL_{id}>")) for id in range(count)]
