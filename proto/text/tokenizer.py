"""Tokens to text and back: a tokenizer, text as it streams, and strings that end an answer."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import tokenizers


def byte_letters() -> Iterator[tuple[int, str]]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    for byte in range(256):
        yield byte, chr(byte if byte in printable else next(spare))


BYTE_OF = {letter: bytes([byte]) for byte, letter in byte_letters()}
HEX_BYTE = re.compile("<0x([0-9A-F]{2})>")  # how SentencePiece names a lone byte
INCOMPLETE = "\ufffd"  # how a tokenizer writes bytes that are no character (yet)
LONGEST_WAIT = 8  # tokens; a character has at most four bytes, so more is not going to complete


class Tokenizer:
    """A checkpoint's tokenizer.json. Any number of threads may use one."""

    def __init__(self, path: Path) -> None:
        self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        self.longest_token = max(map(len, self._tokenizer.get_vocab()), default=1)
        """In characters: more text than so many each is more than so many tokens."""
        decoder = self._tokenizer.decoder
        state: bytes = decoder.__getstate__() if decoder is not None else b"{}"
        self._byte_level = b"ByteLevel" in state
        self._joins_bytes = json.loads(state).get("type") == "ByteLevel"
        added = self._tokenizer.get_added_tokens_decoder()
        self._added = {id: token.content.encode() for id, token in added.items()}
        self._alone: dict[int, str] = {}
        self._whole: dict[int, str] = {}

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """As a batch of one: only batches let other threads run meanwhile."""
        (encoded,) = self._tokenizer.encode_batch_fast(
            [text], add_special_tokens=add_special_tokens
        )
        ids: list[int] = encoded.ids
        return ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return text

    def decode_alone(self, token_id: int) -> str:
        """As `decode` of this one; remembered, since streams ask for it with each token."""
        if (text := self._alone.get(token_id)) is None:
            text = self._alone[token_id] = self.decode([token_id])
        return text

    def whole(self, token_id: int) -> str:
        """The text that it adds to whole characters, whichever they are; empty where that depends
        on the tokens around it. Most tokens of a decoder that only joins bytes are such words."""
        if (text := self._whole.get(token_id)) is None:
            alone = self.decode_alone(token_id) if self._joins_bytes else ""
            text = self._whole[token_id] = "" if INCOMPLETE in alone else alone
        return text

    def bytes_of(self, token_id: int) -> bytes:
        """What one token adds to a text: maybe half a character, or a special token's name."""
        if token_id in self._added:
            return self._added[token_id]
        piece = self.name_of(token_id)
        if self._byte_level:
            return b"".join(BYTE_OF.get(letter) or letter.encode() for letter in piece)
        if whole := HEX_BYTE.fullmatch(piece):
            return bytes.fromhex(whole[1])
        return piece.replace("▁", " ").encode()

    def name_of(self, token_id: int) -> str:
        """As the vocabulary spells it; empty for an id that stands for nothing."""
        name: str | None = self._tokenizer.id_to_token(token_id)
        return name or ""

    def id_of(self, token: str) -> int | None:
        found: int | None = self._tokenizer.token_to_id(token)
        return found


class Detokenizer:
    """Text as tokens arrive: never half a character, and together exactly the whole text.

    What a token adds may depend on those before it (leading spaces, bytes of one character): then
    the tokens since the last clean cut are decoded anew and only what is new is given out.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._begin = 0  # of the tokens that give context
        self._given = 0  # tokens whose text is out
        self._context = 0  # characters that those between the two have by themselves
        self._clean = True  # all text is out, and ends with a whole character

    def add(self, ids: Sequence[int]) -> str:
        """The text that is certain after these tokens."""
        said = ""
        for token in ids:
            self._ids.append(token)
            if self._clean and (text := self._tokenizer.whole(token)):
                self._begin, self._context = self._given, len(text)
                self._given += 1
            else:
                text = self._take(last=False)
            said += text
        return said

    def finish(self) -> str:
        """What was held back: an incomplete character is given as it is."""
        return self._take(last=True)

    def _take(self, last: bool) -> str:
        text = self._tokenizer.decode(self._ids[self._begin :])
        broken = text.endswith(INCOMPLETE)
        waits = broken and len(self._ids) - self._given < LONGEST_WAIT
        if (waits and not last) or len(text) <= self._context:
            self._clean = False
            return ""
        new, self._clean = text[self._context :], not broken
        self._begin, self._given = self._given, len(self._ids)
        cut = self._ids[self._begin :]
        decode = self._tokenizer.decode
        self._context = len(self._tokenizer.decode_alone(cut[0]) if len(cut) == 1 else decode(cut))
        return new


class StopStrings:
    """Cuts streaming text before the first stop string, wherever token borders lie."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.matched: str | None = None
        """The one that was found."""
        self.stopped = False

    @property
    def wanted(self) -> bool:
        """There is one to look for."""
        return bool(self._stops)

    def add(self, text: str) -> str:
        """What can be given out: nothing that may yet turn out to begin a stop string."""
        if self.stopped or not self._stops:
            return "" if self.stopped else text
        self._held += text
        found = [
            (at + len(stop), at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0
        ]
        if found:  # the one that ends first: another could depend on how much came at once
            _, at, self.matched = min(found)
            self.stopped = True
            return self._release(at)
        return self._release(len(self._held) - self._pending())

    def finish(self) -> str:
        return "" if self.stopped else self._release(len(self._held))

    def _release(self, count: int) -> str:
        out, self._held = self._held[:count], self._held[count:]
        return out

    def _pending(self) -> int:
        """Length of the longest ending of the held text that begins a stop string."""
        longest = max(len(stop) for stop in self._stops) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0
