"""tiktoken's files of ranks: a line for each token, its bytes in base64 and its number.

What such a file does not say, how words are cut and which tokens are special, its model's family
does.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raylax.kernels.checkpoints.text.byte_level import (
    CL100K,
    GPT2,
    O200K,
    QWEN2,
    Json,
    Words,
    byte_level,
    letters,
)
from raylax.kernels.checkpoints.text.merges import MOST_TOKENS, check_count, merges_of
from raylax.kernels.errors import CheckpointError

LINE = re.compile(rb"([A-Za-z0-9+/]+={0,2}) (\d{1,9})")


@dataclass(frozen=True)
class Family:
    """What models of a family have in common beside such a file."""

    pattern: str
    special: tuple[str, ...]
    """Special tokens from the end of the ranks on."""
    placed: tuple[tuple[str, int], ...] = ()
    """Those whose numbers lie elsewhere."""
    bos: str | None = None
    eos: str | None = None


def llama3() -> tuple[str, ...]:
    """Those of Llama 3.1 and later; those that Llama 3 has lie at the same numbers."""
    named = {
        0: "begin_of_text", 1: "end_of_text", 4: "finetune_right_pad_id", 5: "step_id",
        6: "start_header_id", 7: "end_header_id", 8: "eom_id", 9: "eot_id", 10: "python_tag",
    }  # fmt: skip
    spare = iter(range(256))
    texts = (named.get(at) or f"reserved_special_token_{next(spare)}" for at in range(256))
    return tuple(f"<|{text}|>" for text in texts)


END = "<|endoftext|>"
CHATML = (END, "<|im_start|>", "<|im_end|>")
CL100K_SPECIAL = (
    (END, 100257), ("<|fim_prefix|>", 100258), ("<|fim_middle|>", 100259),
    ("<|fim_suffix|>", 100260), ("<|endofprompt|>", 100276),
)  # fmt: skip
FAMILIES = {
    "llama": Family(CL100K, llama3(), bos="<|begin_of_text|>", eos="<|end_of_text|>"),
    "qwen": Family(QWEN2, (*CHATML, *(f"<|extra_{i}|>" for i in range(205))), eos=END),
    "cl100k_base": Family(CL100K, (), CL100K_SPECIAL, eos=END),
    "o200k_base": Family(O200K, (), ((END, 199999), ("<|endofprompt|>", 200018)), eos=END),
    "r50k_base": Family(GPT2, (), ((END, 50256),), eos=END),
    "p50k_base": Family(GPT2, (), ((END, 50256),), eos=END),
    "gpt2": Family(GPT2, (), ((END, 50256),), eos=END),
}
"""By the names of files, and by `model_type`."""


def family_of(file: Path, model_type: object) -> Family:
    """Raises CheckpointError for one that is not known."""
    stem = file.name.removesuffix(".tiktoken")
    for name in (stem, stem.partition("_")[0], str(model_type), str(model_type)[:4]):
        if name in FAMILIES:
            return FAMILIES[name]
    raise CheckpointError(
        f"{file}: how words are cut is not known for model_type {model_type!r}; known are "
        + ", ".join(FAMILIES)
    )


def are_ranks(content: bytes) -> bool:
    """Whether a file begins as such files do."""
    return bool(LINE.match(content))


def read_ranks(content: bytes, where: Path) -> dict[bytes, int]:
    """Tokens, with their numbers. Raises CheckpointError for lines that have none."""
    ranks: dict[bytes, int] = {}
    taken: set[int] = set()
    for at, line in enumerate(content.splitlines(), 1):
        if not line:
            continue
        check_count(len(ranks) + 1, where)
        if (found := LINE.fullmatch(line)) is None or len(found[1]) % 4:
            raise CheckpointError(
                f"{where}: line {at}: must be base64, a space and a number, found {line[:60]!r}"
            )
        token, rank = b64decode(found[1]), int(found[2])
        if token in ranks or rank in taken or rank >= MOST_TOKENS:
            raise CheckpointError(
                f"{where}: line {at}: tokens and numbers must be there once, and be below "
                f"{MOST_TOKENS}, found {line[:60]!r}"
            )
        ranks[token] = rank
        taken.add(rank)
    check_bytes(ranks, where)
    return ranks


def check_bytes(ranks: dict[bytes, int], where: Path) -> None:
    """Raises CheckpointError where there is text that no token stands for."""
    if missing := [byte for byte in range(256) if bytes([byte]) not in ranks]:
        raise CheckpointError(f"{where}: {len(missing)} bytes have no token, {missing[0]} first")


def ranks_tokenizer(ranks: dict[bytes, int], pattern: str, where: Path) -> Json:
    """The contents of tokenizer.json, without what is added. Raises CheckpointError."""
    spelled = letters()
    tokens = ["".join(map(spelled.__getitem__, token)) for token in ranks]
    scores = [-float(rank) for rank in ranks.values()]
    vocab = dict(zip(tokens, ranks.values(), strict=True))
    words = Words((pattern,), whole_first=True)
    return byte_level(vocab, merges_of(tokens, scores, where), words)


def special_of(family: Family, ranks: dict[bytes, int]) -> Iterator[tuple[int, str]]:
    """The special tokens, with their numbers."""
    yield from enumerate(family.special, max(ranks.values(), default=-1) + 1)
    yield from ((id, token) for token, id in family.placed)
