"""A GGUF file's tokenizer, as the files that its model has elsewhere.

What llama.cpp does by names of tokenizers (`tokenizer.ggml.model`, `.pre`) is told to the
`tokenizers` library in its own words.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from raylax.kernels.checkpoints.sentencepiece import merges_of, pieces_tokenizer
from raylax.kernels.errors import CheckpointError

Metadata = Mapping[str, Any]
Json = dict[str, Any]
NORMAL, UNKNOWN, CONTROL, OURS, UNUSED, BYTE = range(1, 7)
"""Kinds of tokens: ours are its user's, which are found in text before it is cut."""
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = {
    "llama-bpe": WORDS + "{1,3}" + REST,
    "llama3": WORDS + "{1,3}" + REST,
    "llama-v3": WORDS + "{1,3}" + REST,
    "qwen2": WORDS + REST,
    "deepseek-r1-qwen": WORDS + REST,
    "tekken": TEKKEN,
}
"""How text is cut before it is merged, where a pattern says so."""
DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell")
"""Those that cut digits apart, and the rest as GPT-2 does."""
AS_GPT2 = ("default", "gpt-2", "gpt2", "olmo", "phi-2", "mpt", "jais")
WHOLE_FIRST = ("llama-bpe", "llama3", "llama-v3", "tekken")
"""Those whose words are taken whole where they are tokens."""
BEGINS = ("llama-bpe", "llama3", "llama-v3", "tekken")
"""Those whose texts begin with a token where the file does not say."""
NAMES = {"bos": "bos", "eos": "eos", "unknown": "unk", "padding": "pad", "seperator": "sep"}
ENDS = ("eos", "eot", "eom")


def text_files(metadata: Metadata, config: Json, where: object) -> dict[str, Json]:
    """Contents of config.json, tokenizer.json and so on, by name. Raises CheckpointError."""
    tokens = listed(metadata, "tokens", where)
    if any(not isinstance(one, str) for one in tokens):
        raise CheckpointError(f"{where}: tokenizer.ggml.tokens must be texts")
    ids = {name: id_in(metadata, name, tokens, where) for name in (*NAMES, *ENDS)}
    special: Json = {
        f"{ours}_token": tokens[id] for name, ours in NAMES.items() if (id := ids[name]) is not None
    }
    if isinstance(template := metadata.get("tokenizer.chat_template"), str):
        special["chat_template"] = template
    ends = sorted({id for name in ENDS if (id := ids[name]) is not None})
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    return {
        "config.json": config,
        "tokenizer.json": tokenizer(metadata, tokens, ids["bos"], where),
        "tokenizer_config.json": settings | special,
        "generation_config.json": {"eos_token_id": ends} if ends else {},
    }


def listed(metadata: Metadata, name: str, where: object) -> list[Any]:
    """A list of the tokenizer's. Raises CheckpointError where there is none."""
    values = metadata.get(f"tokenizer.ggml.{name}")
    if isinstance(values, np.ndarray):
        return list(values.tolist())
    if not isinstance(values, list):
        raise CheckpointError(f"{where}: tokenizer.ggml.{name} is missing")
    return values


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


def tokenizer(metadata: Metadata, tokens: list[str], bos: int | None, where: object) -> Json:
    """The contents of tokenizer.json. Raises CheckpointError."""
    model = metadata.get("tokenizer.ggml.model")
    kinds = listed(metadata, "token_type", where)
    if len(kinds) != len(tokens):
        raise CheckpointError(f"{where}: {len(tokens)} tokens have {len(kinds)} types")
    if model == "gpt2":
        made = merged_bytes(metadata, tokens, where)
    elif model == "llama":
        scores = listed(metadata, "scores", where)
        if len(scores) != len(tokens):
            raise CheckpointError(f"{where}: {len(tokens)} tokens have {len(scores)} scores")
        prefix = metadata.get("tokenizer.ggml.add_space_prefix", True) is not False
        made = pieces_tokenizer(tokens, merges_of(tokens, scores), prefix)
    else:
        raise CheckpointError(
            f"{where}: tokenizer.ggml.model {model!r} is not supported; supported are gpt2, llama"
        )
    made["added_tokens"] = [
        added(id, token, kind == CONTROL)
        for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind in (CONTROL, OURS)
    ]
    begins = metadata.get("tokenizer.ggml.pre") in BEGINS or model == "llama"
    if metadata.get("tokenizer.ggml.add_bos_token", begins) and bos is not None:
        made["post_processor"] = beginning_with(tokens[bos], bos)
    return {"version": "1.0", "truncation": None, "padding": None, **made}


def added(id: int, token: str, special: bool) -> Json:
    """A token that is found in text as it is."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": id, "content": token, **flags, "special": special}


def beginning_with(token: str, id: int) -> Json:
    """Texts get this token in front."""
    first = {"SpecialToken": {"id": token, "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [
            first,
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": token, "type_id": 1}},
            {"Sequence": {"id": "B", "type_id": 1}},
        ],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}},
    }


def merged_bytes(metadata: Metadata, tokens: list[str], where: object) -> Json:
    """Of a byte pair encoding as GPT-2's. Raises CheckpointError."""
    pre = metadata.get("tokenizer.ggml.pre", "default")
    merges = [merge.split(" ") for merge in listed(metadata, "merges", where)]
    if any(len(merge) != 2 for merge in merges):
        raise CheckpointError(f"{where}: tokenizer.ggml.merges must be pairs")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    if pre in PATTERNS:
        cut = {"type": "Split", "pattern": {"Regex": PATTERNS[pre]}, "behavior": "Isolated"}
        steps = [{**cut, "invert": False}, {**byte_level, "use_regex": False}]
    elif pre in DIGITS:
        steps = [{"type": "Digits", "individual_digits": True}, {**byte_level, "use_regex": True}]
    elif pre in AS_GPT2:
        steps = [{**byte_level, "use_regex": True}]
    else:
        known = ", ".join(sorted((*PATTERNS, *DIGITS, *AS_GPT2)))
        raise CheckpointError(
            f"{where}: tokenizer.ggml.pre {pre!r} is not supported; supported are {known}"
        )
    return {
        "normalizer": {"type": "NFC"} if pre in ("qwen2", "deepseek-r1-qwen") else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": {**byte_level, "use_regex": True, "trim_offsets": False},
        "decoder": {**byte_level, "use_regex": True},
        "model": {
            "type": "BPE",
            "ignore_merges": pre in WHOLE_FIRST,
            "vocab": {token: id for id, token in enumerate(tokens)},
            "merges": merges,
        },
    }
