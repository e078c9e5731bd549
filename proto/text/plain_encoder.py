"""Encodes a text in which only some special tokens' texts are those tokens."""

import secrets
from collections.abc import Sequence

import tokenizers
from tokenizers import AddedToken

MASK = "\uf8ff"
Span = tuple[int, int]


class PlainEncoder:
    """A tokenizer that knows each special token by a secret name only, which nobody can write.

    It shares its model, which is large, with the tokenizer that it is made of. A prompt's special
    tokens are replaced by their secret names; so what clients wrote like them is encoded as any
    text is, where it stands: with the same normaliser, and the same neighbours.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._usual = tokenizer
        self._plain = tokenizers.Tokenizer(tokenizer.model)
        if tokenizer.normalizer is not None:
            self._plain.normalizer = tokenizer.normalizer
        if tokenizer.pre_tokenizer is not None:
            self._plain.pre_tokenizer = tokenizer.pre_tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._special = {id: token for id, token in added.items() if token.special}
        self._unknown = id_of_unknown(tokenizer)
        secret = secrets.token_hex(16)
        self._names = {id: f"\U0010fffd{secret}:{id}\U0010fffd" for id in self._special}
        self._break = f"\U0010fffd{secret}:\U0010fffd"
        ordinary = [(id, token) for id, token in sorted(added.items()) if not token.special]
        self._plain.add_tokens([token for _, token in ordinary])
        aliases = [*self._names.values(), self._break]
        self._plain.add_tokens([AddedToken(name, normalized=False) for name in aliases])
        known = self._plain.token_to_id
        self._meant = {known(token.content): id for id, token in ordinary}
        self._meant |= {known(name): id for id, name in self._names.items()}
        self._broken = known(self._break)

    def encode(self, text: str, quoted: Sequence[Span]) -> list[int]:
        """The ids of a text; what lies in the places `quoted` is no special token."""
        ids = self._ids(self._respelled(text, quoted, apart=False))
        if any(self._is_special_by_model(id) for id in ids):  # the vocabulary has it as a word, too
            ids = self._ids(self._respelled(text, quoted, apart=True))
        return [self._meant.get(id, id) for id in ids if id != self._broken]

    def _ids(self, text: str) -> list[int]:
        (encoded,) = self._plain.encode_batch_fast([text], add_special_tokens=False)
        ids: list[int] = encoded.ids
        return ids

    def _is_special_by_model(self, id: int) -> bool:
        return id in self._special and id not in self._meant and id != self._unknown

    def _respelled(self, text: str, quoted: Sequence[Span], apart: bool) -> str:
        """The text with special tokens by their secret names. `apart`: what is quoted is cut, so
        that no word of it is a special token's."""
        places = [(begin, end, self._names[id]) for begin, end, id in self._found(text, quoted)]
        if apart:
            places += [(cut, cut, self._break) for b, e in quoted for cut in range(b + 1, e)]
        pieces, at = [], 0
        for begin, end, name in sorted(places):
            pieces += [text[at:begin], name]
            at = end
        return "".join([*pieces, text[at:]])

    def _found(self, text: str, quoted: Sequence[Span]) -> list[tuple[int, int, int]]:
        """Where the special tokens of a text are that touch nothing quoted."""
        pieces, at = [], 0
        for begin, end in quoted:
            pieces += [text[at:begin], MASK * (end - begin)]
            at = end
        masked = "".join([*pieces, text[at:]])
        (encoded,) = self._usual.encode_batch([masked], add_special_tokens=False)
        return [
            (begin, end, id)
            for id, (begin, end) in zip(encoded.ids, encoded.offsets, strict=True)
            if id in self._special and self._stands_there(id, masked[begin:end])
        ]

    def _stands_there(self, id: int, text: str) -> bool:
        """Whether it is the token itself, and not the one for what the model does not know."""
        token = self._special[id]
        same = text.strip() == token.content.strip()
        return same or (token.normalized and id != self._unknown and bool(text))


def id_of_unknown(tokenizer: tokenizers.Tokenizer) -> int | None:
    """The token for what the model has no other for."""
    name = getattr(tokenizer.model, "unk_token", None)
    if name is None:
        found: int | None = getattr(tokenizer.model, "unk_id", None)
        return found
    id: int | None = tokenizer.token_to_id(name)
    return id
