"""A GGUF file's tokenizer, as the files that its model has elsewhere.

What llama.cpp does by names of tokenizers (`tokenizer.ggml.model`, `.pre`) is told to the
`tokenizers` library in its own words.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from raylax.kernels.checkpoints.gguf.words import BEGUN, KINDS
from raylax.kernels.checkpoints.text.added import added, around, put_in
from raylax.kernels.checkpoints.text.byte_level import byte_level
from raylax.kernels.checkpoints.text.merges import check_count
from raylax.kernels.checkpoints.text.pieces import Cutting, merged_pieces, pieces_tokenizer
from raylax.kernels.checkpoints.text.sentencepiece import BYTE, CONTROL, NORMAL, OURS, UNKNOWN
from raylax.kernels.errors import CheckpointError

Metadata = Mapping[str, Any]
Json = dict[str, Any]
NAMES = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad", "seperator": "sep"}
ENDS = ("eos", "eot", "eom")
ENDING = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<EOT>",
    "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "_<EOT>", "[EOT]", "<end_of_utterance>",
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>",
    "<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
)  # fmt: skip
"""Control tokens that end an answer, whatever else the file says: llama.cpp knows them by these
names, and files leave them to it."""


def text_files(metadata: Metadata, config: Json, where: object) -> dict[str, Json]:
    """Contents of config.json, tokenizer.json and so on, by name. Raises CheckpointError."""
    tokens = listed(metadata, "tokens", where)
    if any(not isinstance(one, str) for one in tokens):
        raise CheckpointError(f"{where}: tokenizer.ggml.tokens must be texts")
    tokens = [token or f"[EMPTY_{id}]" for id, token in enumerate(tokens)]
    ids = {name: id_in(metadata, name, tokens, where) for name in (*NAMES, *ENDS)}
    special: Json = {
        f"{ours}_token": tokens[id] for name, ours in NAMES.items() if (id := ids[name]) is not None
    }
    if isinstance(template := metadata.get("tokenizer.chat_template"), str):
        special["chat_template"] = template
    kinds = kinds_of(metadata, tokens, where)
    ends = {id for name in ENDS if (id := ids[name]) is not None}
    ends |= {
        id
        for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if token in ENDING and kind in (CONTROL, OURS)
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    return {
        "config.json": config,
        "tokenizer.json": tokenizer(metadata, tokens, ids, where),
        "tokenizer_config.json": settings | special,
        "generation_config.json": {"eos_token_id": sorted(ends)} if ends else {},
    }


def listed(metadata: Metadata, name: str, where: object) -> list[Any]:
    """A list of the tokenizer's. Raises CheckpointError where there is none."""
    values = metadata.get(f"tokenizer.ggml.{name}")
    if isinstance(values, np.ndarray):
        return list(values.tolist())
    if not isinstance(values, list):
        raise CheckpointError(f"{where}: tokenizer.ggml.{name} is missing")
    return values


def kinds_of(metadata: Metadata, tokens: list[str], where: object) -> list[int]:
    """What each token is; ordinary ones where the file does not say. Raises CheckpointError."""
    if metadata.get("tokenizer.ggml.token_type") is None:
        return [NORMAL] * len(tokens)
    kinds = listed(metadata, "token_type", where)
    if len(kinds) != len(tokens):
        raise CheckpointError(f"{where}: {len(tokens)} tokens have {len(kinds)} types")
    return kinds


def id_in(metadata: Metadata, name: str, tokens: list[str], where: object) -> int | None:
    """The number of a token with a part of its own. Raises CheckpointError for none."""
    id = metadata.get(f"tokenizer.ggml.{name}_token_id")
    if id is None:
        return None
    if not isinstance(id, int) or not 0 <= id < len(tokens):
        raise CheckpointError(
            f"{where}: tokenizer.ggml.{name}_token_id must be below {len(tokens)}, found {id!r}"
        )
    return id


def tokenizer(
    metadata: Metadata, tokens: list[str], ids: Mapping[str, int | None], where: object
) -> Json:
    """The contents of tokenizer.json. Raises CheckpointError."""
    model, kinds = metadata.get("tokenizer.ggml.model"), kinds_of(metadata, tokens, where)
    check_count(len(tokens), where)
    if len(set(tokens)) < len(tokens):
        raise CheckpointError(f"{where}: {len(tokens) - len(set(tokens))} tokens are there twice")
    if not isinstance(model, str) or model not in BUILDERS:
        raise CheckpointError(
            f"{where}: tokenizer.ggml.model {model!r} is not supported; supported are "
            + ", ".join(BUILDERS)
        )
    made, begins = BUILDERS[model](metadata, tokens, kinds, where)
    shown = [
        added(id, token, kind != OURS)
        for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (CONTROL, OURS) or (kind == UNKNOWN and model == "llama")
    ]
    put_in(made, shown, where)
    told = {name: metadata.get(f"tokenizer.ggml.add_{name}_token") for name in ("bos", "eos")}
    first = ids["bos"] if (begins if told["bos"] is None else told["bos"]) else None
    last = ids["eos"] if told["eos"] else None
    if first is not None or last is not None:
        made["post_processor"] = around(
            None if first is None else (tokens[first], first),
            None if last is None else (tokens[last], last),
        )
    return made


def merged_bytes(
    metadata: Metadata, tokens: list[str], kinds: list[int], where: object
) -> tuple[Json, bool]:
    """Of a byte pair encoding as GPT-2's, and whether texts begin with a token. Raises
    CheckpointError."""
    pre = metadata.get("tokenizer.ggml.pre", "default")
    if not isinstance(pre, str) or pre not in KINDS:
        raise CheckpointError(
            f"{where}: tokenizer.ggml.pre {pre!r} is not supported; supported are "
            + ", ".join(sorted(KINDS))
        )
    vocab = {token: id for id, token in enumerate(tokens)}
    merges = [str(merge).split(" ") for merge in listed(metadata, "merges", where)]
    for merge in merges:
        if len(merge) != 2 or any(one not in vocab for one in (*merge, "".join(merge))):
            raise CheckpointError(
                f"{where}: tokenizer.ggml.merges must be pairs of tokens that make a third one, "
                f"found {' '.join(merge)!r}"
            )
    return byte_level(vocab, merges, KINDS[pre]), pre in BEGUN


def merged_scores(
    metadata: Metadata, tokens: list[str], kinds: list[int], where: object
) -> tuple[Json, bool]:
    """The same of SentencePiece's pieces."""
    scores = listed(metadata, "scores", where)
    if len(scores) != len(tokens):
        raise CheckpointError(f"{where}: {len(tokens)} tokens have {len(scores)} scores")
    if not all(isinstance(score, int | float) and math.isfinite(score) for score in scores):
        raise CheckpointError(f"{where}: tokenizer.ggml.scores must be finite numbers")
    prefix = metadata.get("tokenizer.ggml.add_space_prefix", True) is not False
    model = merged_pieces(tokens, scores, kinds, BYTE in kinds, where)
    return pieces_tokenizer(model, Cutting(prefix)), True


BUILDERS = {"gpt2": merged_bytes, "llama": merged_scores}
"""By `tokenizer.ggml.model`."""
