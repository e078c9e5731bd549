"""A model's vocabulary, as grammars look at it: the bytes of each token."""

from collections.abc import Collection

from llguidance import LLTokenizer, TokenizerWrapper

from raylax.proto.text.tokenizer import Tokenizer

GUARD = "\x02"
"""Put before a text that is to be cut into tokens as the middle of one: no token has it inside."""
MOST_CHARACTERS = 256
"""Of what must follow so much is looked at: tokenizers may take long for long texts."""


class Vocabulary:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocab: int, ends: Collection[int]) -> None:
        self.eos_token_id = min(ends)
        self.tokens = tokenizer.bytes_of_all(vocab)
        self.special_token_ids = sorted({*tokenizer.special_ids, *ends} & {*range(vocab)})
        self._tokenizer = tokenizer
        self._guard = tokenizer.encode(GUARD, add_special_tokens=False)

    def __call__(self, text: str) -> list[int]:
        """The tokens of a text that stands behind others."""
        if not isinstance(text, str):
            raise TypeError("texts alone are cut into tokens")  # asked once, with bytes
        text = text[:MOST_CHARACTERS]
        ids, size = self._tokenizer.encode(GUARD + text, False), len(self._guard)
        return self._as_written(ids[size:], text) if ids[:size] == self._guard else []

    def _as_written(self, ids: list[int], text: str) -> list[int]:
        """As far as they are this text: tokenizers leave out what they have no token for."""
        written, at = text.encode(), 0
        for count, id in enumerate(ids):
            if not written.startswith(self.tokens[id], at):
                return ids[:count]
            at += len(self.tokens[id])
        return ids


def grammar_tokenizer(tokenizer: Tokenizer, ends: Collection[int], vocab: int) -> LLTokenizer:
    """For masks of `vocab` tokens. `ends`: those that end an answer; one at least, else ValueError.
    Takes half a second for 150,000 tokens."""
    if not (known := sorted(end for end in ends if end < vocab)):
        raise ValueError("it has no end token")
    wrapper = TokenizerWrapper(Vocabulary(tokenizer, vocab, known))
    return LLTokenizer(wrapper, n_vocab=vocab, eos_token=known)
