"""Text to token ids and back, by a checkpoint's tokenizer.json."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import tokenizers

from raylax.proto.characters import whole_characters
from raylax.proto.text.plain_encoder import PlainEncoder
from raylax.proto.text.quoting import Prompt, SpecialTexts
from raylax.proto.text.reading import check_file
from raylax.proto.text.tokenizer_files import TokenizerSettings


def byte_letters() -> Iterator[tuple[int, str]]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    for byte in range(256):
        yield byte, chr(byte if byte in printable else next(spare))


BYTE_OF = {letter: bytes([byte]) for byte, letter in byte_letters()}
HEX_BYTE = re.compile("<0x([0-9A-F]{2})>")  # how SentencePiece names a lone byte
INCOMPLETE = "\ufffd"  # how a tokenizer writes bytes that are no character (yet)

HIGHEST_ID = (1 << 24) - 1
"""Far above any vocabulary: what is made for each id up to the highest takes memory."""

MOST_HOLES = 1 << 18
"""Ids of nothing below the highest one: something is put into each of them, for some seconds."""


class Tokenizer:
    """A checkpoint's tokenizer.json, with what stands beside it. Any number of threads may use
    one."""

    def __init__(self, path: Path, settings: TokenizerSettings | None = None) -> None:
        self._tokenizer = opened(path)
        (settings or TokenizerSettings()).apply(self._tokenizer)
        if (highest := self.highest_id) > HIGHEST_ID:
            raise ValueError(f"{path}: ids of tokens may be at most {HIGHEST_ID}, found {highest}")
        own = self._tokenizer.get_vocab_size(with_added_tokens=False)
        if (holes := highest + 1 - own) > MOST_HOLES:
            raise ValueError(
                f"{path}: ids up to {highest} may be of no token {MOST_HOLES} times, found {holes}"
            )
        self.longest_token = max(map(len, self._tokenizer.get_vocab()), default=1)
        """Its characters: a text has at least so many tokens as its length divided by this."""
        decoder = self._tokenizer.decoder
        state: bytes = decoder.__getstate__() if decoder is not None else b"{}"
        if b'"Regex"' in state:
            raise ValueError(
                f"{path}: its decoder looks for a regular expression, which may take for ever at "
                "any token of an answer; only texts are looked for"
            )
        self._byte_level = b"ByteLevel" in state
        self._joins_bytes = json.loads(state).get("type") == "ByteLevel"
        self._added_tokens = self._tokenizer.get_added_tokens_decoder()
        self._before, self._after = self._around()
        self._plain = PlainEncoder(self._tokenizer)
        special = [token for token in self._added_tokens.values() if token.special]
        normalizer = self._tokenizer.normalizer
        self.special_texts = SpecialTexts(
            (token.content for token in special),
            (token.content for token in special if token.normalized),
            None if normalizer is None else normalizer.normalize_str,
        )
        """Finds the texts of special tokens in what clients write."""
        self._special = {id for id, token in self._added_tokens.items() if token.special}
        self._alone: dict[int, str] = {}
        self._whole: dict[int, str] = {}
        self._bytes = {id: token.content.encode() for id, token in self._added_tokens.items()}

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """The ids of a text. Where the tokenizer begins texts with a token with which this one
        begins already, it is there once.
        """
        ids = self._ids(whole_characters(text), add_special_tokens)
        size = len(self._before)
        if add_special_tokens and size and ids[size : 2 * size] == self._before:
            return ids[size:]
        return ids

    def encode_prompt(self, prompt: Prompt, add_special_tokens: bool = False) -> list[int]:
        """The ids of a rendered prompt; what clients wrote like special tokens is text."""
        if not prompt.quoted:
            return self.encode(prompt.text, add_special_tokens)
        ids = self._plain.encode(prompt.text, prompt.quoted)
        if not add_special_tokens:
            return ids
        begun = ids[: len(self._before)] == self._before
        return [*([] if begun else self._before), *ids, *self._after]

    def _ids(self, text: str, add_special_tokens: bool) -> list[int]:
        """A batch of one, since only batches let other threads run meanwhile."""
        (encoded,) = self._tokenizer.encode_batch_fast(
            [text], add_special_tokens=add_special_tokens
        )
        ids: list[int] = encoded.ids
        return ids

    def _around(self) -> tuple[list[int], list[int]]:
        """The tokens that are put before a text, and after it."""
        bare, whole = self._ids("a", False), self._ids("a", True)
        for at in range(len(whole) - len(bare) + 1):
            if whole[at : at + len(bare)] == bare:
                return whole[:at], whole[at + len(bare) :]
        return [], []

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text of tokens. A broken character is shown as U+FFFD."""
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def decode_alone(self, token_id: int) -> str:
        """What `decode` makes of one token; remembered, since streams ask for it at every step."""
        if (text := self._alone.get(token_id)) is None:
            text = self._alone[token_id] = self.decode([token_id])
        return text

    def whole(self, token_id: int) -> str:
        """The text that a token adds wherever it stands between whole characters; empty where that
        depends on the tokens around it. A decoder that only joins bytes has mostly such tokens."""
        if (text := self._whole.get(token_id)) is None:
            alone = self.decode_alone(token_id) if self._joins_bytes else ""
            text = self._whole[token_id] = "" if INCOMPLETE in alone else alone
        return text

    def adds_text(self, token_id: int) -> bool:
        """Whether text is made with it at all: special tokens, and ids of nothing, are left out."""
        return token_id not in self._special and bool(self.name_of(token_id))

    def special_id(self, text: str) -> int | None:
        """The id of the special token whose name this is."""
        id = self.id_of(text)
        return id if id in self._special else None

    @cached_property
    def any_text(self) -> Sequence[int]:
        """A token that is text of its own, to stand before others; empty: there is no need, or none
        such. Decoders that strip the first space of a text then keep it."""
        if self._joins_bytes:
            return ()
        for letter in ("a", "x", "0", ".", "\u2581a"):
            id = self.id_of(letter)
            if id is not None and self.decode([id]) and self.adds_text(id):
                return (id,)
        return ()

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes that a token adds to a text: maybe half a character; a special token's name.
        Remembered: log-probabilities ask for many at every step."""
        if (known := self._bytes.get(token_id)) is None:
            known = self._bytes[token_id] = self._bytes_named(self.name_of(token_id))
        return known

    def _bytes_named(self, piece: str) -> bytes:
        if self._byte_level:
            return b"".join(BYTE_OF.get(letter) or letter.encode() for letter in piece)
        if whole := HEX_BYTE.fullmatch(piece):
            return bytes.fromhex(whole[1])
        return piece.replace("▁", " ").encode()

    def bytes_of_all(self, vocab: int) -> list[bytes]:
        """The same of all ids below `vocab`; nothing for those that stand for no token."""
        added = {id: token.content.encode() for id, token in self._added_tokens.items()}
        return [added.get(id) or self._bytes_named(self.name_of(id)) for id in range(vocab)]

    @property
    def special_ids(self) -> frozenset[int]:
        """The tokens that are no text."""
        return frozenset(self._special)

    @property
    def highest_id(self) -> int:
        """Of the tokens that texts are cut into; tokens that were added may lie beyond."""
        own = self._tokenizer.get_vocab(with_added_tokens=False)
        return max(own.values(), default=0)

    @property
    def size(self) -> int:
        """How many tokens it has, with those that were added."""
        size: int = self._tokenizer.get_vocab_size()
        return size

    def name_of(self, token_id: int) -> str:
        """The token as the vocabulary spells it; empty for an id that stands for nothing."""
        name: str | None = self._tokenizer.id_to_token(token_id)
        return name or ""

    def id_of(self, token: str) -> int | None:
        """The id of a token as the vocabulary spells it; None if it has none."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found


def opened(path: Path) -> tokenizers.Tokenizer:
    """Raises OSError, or ValueError for a file that says of no tokenizer."""
    check_file(path)
    with path.open("rb"):  # or the reason why not
        pass
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library has no other kind, and panics are no Exception
        raise ValueError(f"{path}: no tokenizer can be made of it: {error}") from None
