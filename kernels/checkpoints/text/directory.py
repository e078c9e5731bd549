"""Which files of a directory its tokenizer is made of, and what becomes of them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from raylax.kernels.checkpoints.json_files import read_json
from raylax.kernels.checkpoints.regular import regular_size
from raylax.kernels.checkpoints.text.added import (
    ADDED,
    CONFIG,
    SPECIAL,
    Json,
    added,
    around,
    declared,
    put_in,
    special_texts,
    text_of,
)
from raylax.kernels.checkpoints.text.pieces import (
    Cutting,
    likely_pieces,
    merged_pieces,
    pieces_tokenizer,
)
from raylax.kernels.checkpoints.text.ranks import (
    are_ranks,
    family_of,
    ranks_tokenizer,
    read_ranks,
    special_of,
)
from raylax.kernels.checkpoints.text.sentencepiece import (
    CONTROL,
    OURS,
    PieceModel,
    read_piece_model,
)
from raylax.kernels.checkpoints.text.tekken import NAMES, tekken_tokenizer
from raylax.kernels.checkpoints.text.vocabulary import CLASSES, class_of, vocabulary_tokenizer
from raylax.kernels.errors import CheckpointError

TOKENIZER = "tokenizer.json"
PIECES, VOCABULARY, MERGES = "tokenizer.model", "vocab.json", "merges.txt"
TEKKEN = "tekken.json"
BESIDE = (CONFIG, SPECIAL, ADDED)
LARGEST = 32 << 20
"""Bytes of a file of tokens: read, it takes twenty times as many. The largest ones have half of
it."""
ENDED = ("T5Tokenizer", "MT5Tokenizer")
"""Classes whose texts end with a token, and begin with none."""


def is_whole(directory: Path) -> bool:
    """Whether there is a tokenizer.json, or nothing that one could be made of."""
    return (directory / TOKENIZER).exists() or not made_of(directory)


def made_of(directory: Path) -> list[Path]:
    """The files that a tokenizer.json can be made of; none where there are none."""
    for name in (PIECES, TEKKEN):
        if (directory / name).exists():
            return [directory / name]
    pair = [directory / VOCABULARY, directory / MERGES]
    if all(file.exists() for file in pair):
        return pair
    return sorted(directory.glob("*.tiktoken"))[:1]


def text_files(directory: Path, model_type: object) -> dict[str, Json]:
    """Contents of tokenizer.json and what stands beside it, by name. Raises CheckpointError for
    files that are damaged, or not known here."""
    beside = {name: read_object(directory / name) for name in BESIDE if (directory / name).exists()}
    files = made_of(directory)
    if not files:
        raise CheckpointError(
            f"{directory}: {TOKENIZER} is missing, and so are {PIECES}, {TEKKEN}, {VOCABULARY} "
            f"with {MERGES}, and *.tiktoken"
        )
    made, names = made_from(files[0], beside, model_type)
    settings = beside.setdefault(CONFIG, {})
    for name, token in names.items():
        if name not in settings and name not in beside.get(SPECIAL, {}):
            settings[name] = token
    return beside | {TOKENIZER: made}


def made_from(file: Path, beside: Mapping[str, Json], model_type: object) -> tuple[Json, Json]:
    """The contents of tokenizer.json, and the special tokens that it has by name where nobody says.
    `file`: the first of those that it is made of. Raises CheckpointError."""
    if file.name == VOCABULARY:
        return of_vocabulary(file.parent, beside, model_type)
    if file.name == TEKKEN:
        return of_tekken(file, beside)
    content = read_bytes(file)
    if are_ranks(content):
        return of_ranks(content, file, beside, model_type)
    return of_pieces(read_piece_model(content, file), beside, file)


def of_tekken(file: Path, beside: Mapping[str, Json]) -> tuple[Json, Json]:
    """Of Mistral."""
    made = tekken_tokenizer(read_json(file, LARGEST), file)
    numbers = {token["content"] for token in made["added_tokens"]}
    names = {name: token for name, token in NAMES.items() if token in numbers}
    put_around(made, beside, names, begins=True, ends=False)
    return made, names


def of_pieces(model: PieceModel, beside: Mapping[str, Json], where: Path) -> tuple[Json, Json]:
    """Of SentencePiece, as transformers' LlamaTokenizer has it."""
    config = beside.get(CONFIG, {})
    prefix = config.get("add_prefix_space")
    cutting = Cutting(
        model.prefix if prefix is None else bool(prefix),
        config.get("legacy") is not False,
        model.charsmap,
        model.rule,
        model.fewer_spaces,
    )
    own = model.pieces, model.scores, model.kinds, model.byte_fallback
    cut = likely_pieces(*own) if model.unigram else merged_pieces(*own, where)
    made = pieces_tokenizer(cut, cutting)
    named = {*special_texts(beside), *model.names.values()}
    tokens = {
        piece: added(id, piece, kind == CONTROL or piece in named)
        for id, (piece, kind) in enumerate(zip(model.pieces, model.kinds, strict=True))
        if kind in (CONTROL, OURS) or piece in named
    }
    beside_it = {token["content"]: token for token in declared(beside, where.parent)}
    put_in(made, [*(tokens | beside_it).values()], where)
    ended = str(config.get("tokenizer_class")).removesuffix("Fast") in ENDED
    put_around(made, beside, model.names, begins=not ended, ends=ended)
    return made, model.names


def of_ranks(
    content: bytes, where: Path, beside: Mapping[str, Json], model_type: object
) -> tuple[Json, Json]:
    """Of tiktoken."""
    family, ranks = family_of(where, model_type), read_ranks(content, where)
    made = ranks_tokenizer(ranks, family.pattern, where)
    tokens = declared(beside, where.parent)
    if not tokens:
        tokens = [added(id, token, special=True) for id, token in special_of(family, ranks)]
    put_in(made, tokens, where)
    names = {f"{name}_token": token for name in ("bos", "eos") if (token := getattr(family, name))}
    put_around(made, beside, names, begins=family.bos is not None, ends=False)
    return made, names


def of_vocabulary(
    directory: Path, beside: Mapping[str, Json], model_type: object
) -> tuple[Json, Json]:
    """Of GPT-2 and those like it."""
    config, where = beside.get(CONFIG, {}), directory / VOCABULARY
    words, defaults = CLASSES[name := class_of(config, model_type, where)]
    if name == "GPT2Tokenizer":
        words = replace(words, prefix=bool(config.get("add_prefix_space")))
    vocab, merges = read_json(where, LARGEST), read_bytes(directory / MERGES)
    made = vocabulary_tokenizer(vocab, merges, words, directory)
    tokens = {token["content"]: token for token in declared(beside, directory)}
    known = made["model"]["vocab"]
    names = {name: token for name, token in defaults.items() if token in known or token in tokens}
    for token in (*special_texts(beside), *names.values()):
        if token in known and token not in tokens:
            tokens[token] = added(known[token], token, special=True)
    put_in(made, [*tokens.values()], where)
    put_around(made, beside, names, begins=False, ends=False)
    return made, names


def put_around(
    made: Json, beside: Mapping[str, Json], names: Mapping[str, str], begins: bool, ends: bool
) -> None:
    """The tokens that texts begin and end with, by tokenizer_config.json, or by what the class does
    where that says nothing."""
    both = {**names, **beside.get(CONFIG, {}), **beside.get(SPECIAL, {})}
    numbers = {token["content"]: token["id"] for token in made["added_tokens"]}

    def end(name: str, default: bool) -> tuple[str, int] | None:
        told = both.get(f"add_{name}_token")
        token = text_of(both.get(f"{name}_token"))
        wanted = default if told is None else bool(told)
        if not wanted or token is None or token not in numbers:
            return None
        return token, numbers[token]

    before, after = end("bos", begins), end("eos", ends)
    if before or after:
        made["post_processor"] = around(before, after)


def read_object(path: Path) -> Json:
    """A JSON object. Raises CheckpointError."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: must be a JSON object")
    return found


def read_bytes(path: Path) -> bytes:
    """A whole file. Raises CheckpointError."""
    try:
        regular_size(path, LARGEST)
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
