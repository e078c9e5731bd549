"""Encodes a text in which only some special tokens' texts are those tokens."""

import secrets
from collections.abc import Sequence

import tokenizers
from tokenizers import AddedToken, models

MASK = "\uf8ff"
REST = "\0"
WINDOW = 1 << 16
Span = tuple[int, int]


class PlainEncoder:
    """A tokenizer that knows each special token by a secret name only, which nobody can write.

    It shares its model, which is large, with the tokenizer that it is made of. A prompt's special
    tokens are replaced by their secret names; so what clients wrote like them is encoded as any
    text is, where it stands: with the same normaliser, and the same neighbours.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        added = sorted(tokenizer.get_added_tokens_decoder().items())
        self._special = frozenset(id for id, token in added if token.special)
        self._finder = AddedTokenFinder(tokenizer)
        self._plain = bare(tokenizer, tokenizer.model)
        if tokenizer.pre_tokenizer is not None:
            self._plain.pre_tokenizer = tokenizer.pre_tokenizer
        secret = f"\U0010fffd{secrets.token_hex(16)}"
        self._names = {id: f"{secret}:{id}\U0010fffd" for id in self._special}
        self._break = f"{secret}:\U0010fffd"
        vocab = tokenizer.get_vocab(with_added_tokens=False)
        self._words = self._special.intersection(vocab.values()) - {id_of_unknown(tokenizer)}
        """Special tokens that the model could take for words of a text, too."""
        holes = max(vocab.values(), default=0) + 1 - len(vocab)  # new ids begin at its size
        filling = [f"{secret}:-{i}\U0010fffd" for i in range(holes)]
        ordinary = [(id, token) for id, token in added if not token.special]
        names = [*filling, *self._names.values(), self._break]
        self._plain.add_tokens([AddedToken(name, normalized=False) for name in names])
        self._plain.add_tokens([token for _, token in ordinary])
        known = self._plain.token_to_id
        self._meant = {known(token.content): id for id, token in ordinary}
        self._meant |= {known(name): id for id, name in self._names.items()}
        self._broken = known(self._break)

    def encode(self, text: str, quoted: Sequence[Span]) -> list[int]:
        """The ids of a text; what lies in the places `quoted` is no special token."""
        ids = self._ids(self._respelled(text, quoted, apart=False))
        if self._has_word(ids):
            ids = self._ids(self._respelled(text, quoted, apart=True))
        return [self._meant.get(id, id) for id in ids if id != self._broken]

    def _has_word(self, ids: list[int]) -> bool:
        """Whether one of them is a special token. A set looks through a list without letting other
        threads run, so it is given a piece at a time."""
        pieces = (ids[at : at + WINDOW] for at in range(0, len(ids), WINDOW)) if self._words else ()
        return not all(map(self._words.isdisjoint, pieces))

    def _ids(self, text: str) -> list[int]:
        (encoded,) = self._plain.encode_batch_fast([text], add_special_tokens=False)
        ids: list[int] = encoded.ids
        return ids

    def _respelled(self, text: str, quoted: Sequence[Span], apart: bool) -> str:
        """The text with special tokens by their secret names. `apart`: what is quoted is cut, so
        that no word of it is a special token's."""
        found = self._finder.places(masked(text, quoted))
        places = [(b, e, self._names[id]) for b, e, id in found if id in self._special]
        if apart:
            places += [(cut, cut, self._break) for b, e in quoted for cut in range(b + 1, e)]
        pieces, at = [], 0
        for begin, end, name in sorted(places):
            pieces += [text[at:begin], name]
            at = end
        return "".join([*pieces, text[at:]])


class AddedTokenFinder:
    """Finds added tokens in texts by the tokenizer's own rules. All between two is one token to it,
    so that little comes of a long text."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._finder = bare(tokenizer, models.WordLevel({REST: 0}, unk_token=REST))
        added = sorted(tokenizer.get_added_tokens_decoder().items())
        self._finder.add_tokens([token for _, token in added])
        self._finder.encode_special_tokens = tokenizer.encode_special_tokens
        self._ids = {self._finder.token_to_id(token.content): id for id, token in added}

    def places(self, text: str) -> list[tuple[int, int, int]]:
        """Where they are, and their ids, in order."""
        (encoded,) = self._finder.encode_batch([text], add_special_tokens=False)
        return [
            (begin, end, self._ids[id])
            for id, (begin, end) in zip(encoded.ids, encoded.offsets, strict=True)
            if id in self._ids
        ]


def bare(tokenizer: tokenizers.Tokenizer, model: models.Model) -> tokenizers.Tokenizer:
    """A tokenizer with the normaliser of another one, and no added tokens."""
    made = tokenizers.Tokenizer(model)
    if tokenizer.normalizer is not None:
        made.normalizer = tokenizer.normalizer
    return made


def masked(text: str, quoted: Sequence[Span]) -> str:
    """The text, of the same length, with nothing to be found in the quoted places."""
    pieces, at = [], 0
    for begin, end in quoted:
        pieces += [text[at:begin], MASK * (end - begin)]
        at = end
    return "".join([*pieces, text[at:]])


def id_of_unknown(tokenizer: tokenizers.Tokenizer) -> int | None:
    """The token for what the model has no other for."""
    name = getattr(tokenizer.model, "unk_token", None)
    if name is None:
        found: int | None = getattr(tokenizer.model, "unk_id", None)
        return found
    id: int | None = tokenizer.token_to_id(name)
    return id
