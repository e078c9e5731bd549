"""Tokens that are found in texts as they are, and those that are put around texts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raylax.kernels.checkpoints.text.merges import MOST_TOKENS
from raylax.kernels.errors import CheckpointError

Json = dict[str, Any]
FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
CONFIG, SPECIAL, ADDED = "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
NAMES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


def added(id: int, token: str, special: bool) -> Json:
    """A token that is found in text as it is."""
    return {"id": id, "content": token, **dict.fromkeys(FLAGS, False), "special": special}


def text_of(value: Any) -> str | None:
    """A token is its text, or an object with a `content`."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) and text else None


def declared(files: Mapping[str, Any], where: object) -> list[Json]:
    """The added tokens that stand beside a vocabulary, by number: those of tokenizer_config.json if
    it has any, else those of the older files. Raises CheckpointError."""
    config, older = files.get(CONFIG, {}), files.get(ADDED, {})
    if "added_tokens_decoder" in config:
        told, file = config["added_tokens_decoder"], CONFIG
        pairs = told.items() if isinstance(told, dict) else [(told, None)]
        tokens = [declared_one(id, one, f"{where}/{file}") for id, one in pairs]
    else:
        special = set(special_texts(files))
        tokens = [
            {**added(number(id, where), text, text in special), "normalized": text not in special}
            for text, id in older.items()
        ]
    return sorted(tokens, key=lambda one: int(one["id"]))


def declared_one(id: Any, told: Any, where: object) -> Json:
    """A token of `added_tokens_decoder`. Raises CheckpointError."""
    if (text := text_of(told)) is None or not isinstance(told, dict):
        raise CheckpointError(
            f"{where}: added_tokens_decoder must have tokens by number, found {id!r}: {told!r}"
        )
    flags = {name: bool(told[name]) for name in (*FLAGS, "special") if name in told}
    return {**added(number(id, where), text, False), **flags}


def number(id: Any, where: object) -> int:
    """Of a token. Raises CheckpointError for what is none."""
    try:
        found = int(id)
    except (TypeError, ValueError, OverflowError):
        found = -1
    if isinstance(id, float | bool) or not 0 <= found < MOST_TOKENS:
        raise CheckpointError(
            f"{where}: a token's number must be in 0..{MOST_TOKENS - 1}, found {id!r}"
        )
    return found


def special_texts(files: Mapping[str, Any]) -> Iterator[str]:
    """Of the special tokens that have a name, or are listed as such."""
    both = {**files.get(CONFIG, {}), **files.get(SPECIAL, {})}
    listed = both.get("additional_special_tokens")
    for value in (*map(both.get, NAMES), *(listed if isinstance(listed, list) else ())):
        if (text := text_of(value)) is not None:
            yield text


def put_in(made: Json, tokens: Sequence[Json], where: object) -> None:
    """Adds tokens, by number, to the contents of a tokenizer.json, each with its own number. What
    the vocabulary has keeps the number that it has there. Raises CheckpointError where that cannot
    be: those that are added are numbered from the end of the vocabulary on."""
    vocab = made["model"]["vocab"]
    known = {piece: id for id, (piece, _) in enumerate(vocab)} if isinstance(vocab, list) else vocab
    new = [token for token in tokens if token["content"] not in known]
    in_order = [token["id"] for token in new] == [*range(len(vocab), len(vocab) + len(new))]
    taken = set(known.values())
    for token in () if in_order else new:
        if isinstance(vocab, list) or token["id"] in taken:
            raise CheckpointError(
                f"{where}: token {token['content']!r} is declared as {token['id']}, and the "
                f"vocabulary has {len(vocab)} tokens"
            )
        vocab[token["content"]] = token["id"]
        taken.add(token["id"])
    made["added_tokens"] = [
        {**token, "id": known.get(token["content"], token["id"])} for token in tokens
    ]


def around(before: tuple[str, int] | None, after: tuple[str, int] | None) -> Json:
    """Texts get these tokens, and their numbers, in front and behind."""
    ends = [*filter(None, (before, after))]

    def one(name: str, kind: int) -> list[Json]:
        text = {"Sequence": {"id": name, "type_id": kind}}
        first, last = (
            [{"SpecialToken": {"id": end[0], "type_id": kind}}] if end else []
            for end in (before, after)
        )
        return [*first, text, *last]

    return {
        "type": "TemplateProcessing",
        "single": one("A", 0),
        "pair": [*one("A", 0), *one("B", 1)],
        "special_tokens": {
            token: {"id": token, "ids": [id], "tokens": [token]} for token, id in ends
        },
    }
