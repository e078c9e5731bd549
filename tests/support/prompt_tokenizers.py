"""Small tokenizers of the kinds that open-weights models have, made the same way every time."""

from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import TemplateProcessing

WORDS = """
the and user system assistant tool name text content is what who function query answer document
title hello world weather city please you
""".split()  # noqa: SIM905  as a list it has a line a word
WORD = r"\s?[\p{L}\p{M}]+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+"


def letters() -> dict[int, str]:
    """GPT-2's letter for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return {byte: chr(byte if byte in kept else next(spare)) for byte in range(256)}


def merged(vocab: dict[str, int], words: Iterable[str]) -> list[tuple[str, str]]:
    """The merges that make each word from its letters, left to right; the vocabulary has them."""
    merges: list[tuple[str, str]] = []
    for word in words:
        left = word[0]
        for letter in word[1:]:
            if (left, letter) not in merges:
                merges.append((left, letter))
            left += letter
            vocab.setdefault(left, len(vocab))
    return merges


def byte_level(special: Sequence[str], ordinary: Sequence[str] = ()) -> Tokenizer:
    """Like GPT-2's: bytes, split by a pattern. `ordinary` are added tokens that are not special."""
    vocab = {letter: byte for byte, letter in letters().items()}
    merges = merged(vocab, [*WORDS, *("Ġ" + word for word in WORDS), "ĠĠ", "ĊĊ"])
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    made.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(WORD), "isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(one, normalized=False, special=True) for one in special])
    made.add_tokens([AddedToken(one, normalized=False) for one in ordinary])
    return made


def piece_vocab(special: Sequence[str]) -> dict[str, int]:
    vocab = {piece: id for id, piece in enumerate(("<unk>", "<s>", "</s>", *special))}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for letter in "▁" + "".join(map(chr, range(33, 127))):
        vocab.setdefault(letter, len(vocab))
    return vocab


def piece_bpe(special: Sequence[str], first_only: bool = False) -> Tokenizer:
    """Like Llama 2's: pieces with a low line for a space, and bytes for what is not there.
    `first_only`: newer ones put it before the whole text only, and not behind each special token.
    """
    vocab = piece_vocab(special)
    merges = merged(vocab, [*WORDS, *("▁" + word for word in WORDS), "▁▁"])
    made = Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    if first_only:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        steps = [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        made.normalizer = normalizers.Sequence(steps)
    return with_pieces(made, special)


def piece_unigram(special: Sequence[str]) -> Tokenizer:
    """Like Gemma's or T5's: the likeliest pieces; its special tokens are words, too."""
    vocab = piece_vocab(special)
    for word in WORDS:
        vocab.setdefault("▁" + word, len(vocab))
        vocab.setdefault(word, len(vocab))
    scored = [(piece, -2.0 - 1 / (1 + len(piece)) if len(piece) > 1 else -6.0) for piece in vocab]
    scored = [(piece, 0.0 if piece in special else score) for piece, score in scored]
    made = Tokenizer(models.Unigram(scored, unk_id=0, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    return with_pieces(made, special)


def with_pieces(made: Tokenizer, special: Sequence[str]) -> Tokenizer:
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    made.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
    texts = ["<unk>", "<s>", "</s>", *special]
    made.add_special_tokens([AddedToken(one, normalized=False, special=True) for one in texts])
    return made


def beginning_with(made: Tokenizer, token: str) -> Tokenizer:
    """The same, putting a token before each text."""
    id = made.token_to_id(token)
    made.post_processor = TemplateProcessing(single=[token, "$A"], special_tokens=[(token, id)])
    return made
