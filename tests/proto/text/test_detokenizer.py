"""Streaming text: together exactly the whole text, never half a character."""

from collections.abc import Sequence

import pytest

from raylax.proto.text.detokenizer import Detokenizer
from raylax.proto.text.tokenizer import INCOMPLETE, Tokenizer
from tests.proto.text.conftest import TEXTS


def stream(tokenizer: Tokenizer, pieces: Sequence[Sequence[int]]) -> list[str]:
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.add(piece) for piece in pieces), detokenizer.finish()]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_pieces_make_the_whole_text(tokenizer: Tokenizer, text: str, size: int) -> None:
    """Whatever number of tokens comes at a time."""
    ids = tokenizer.encode(text)

    pieces = stream(tokenizer, [ids[i : i + size] for i in range(0, len(ids), size)])

    assert "".join(pieces) == tokenizer.decode(ids)


def test_no_piece_ends_inside_a_character(tokenizer: Tokenizer) -> None:
    """An emoji of several tokens appears at once."""
    ids = tokenizer.encode("👋🏽é")

    assert all(INCOMPLETE not in piece for piece in stream(tokenizer, [[i] for i in ids]))


def test_bytes_that_never_become_a_character_are_given_in_the_end(tokenizer: Tokenizer) -> None:
    """A model may stop, or stay, inside one; nothing waits for ever."""
    half = tokenizer.encode("👋")[:-1]

    pieces = stream(tokenizer, [[i] for i in half])

    assert pieces[-1] == tokenizer.decode(half)
