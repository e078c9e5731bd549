"""What tokens stand for, byte by byte."""

import pytest

from raylax.proto.text.tokenizer import Tokenizer
from tests.proto.text.conftest import TEXTS


@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_of_tokens_make_the_text(tokenizer: Tokenizer, text: str) -> None:
    """Each token's own, parts of characters and special tokens included."""
    ids = tokenizer.encode(text)
    joined = b"".join(tokenizer.bytes_of(token) for token in ids).decode()

    whole = tokenizer._tokenizer.decode(ids, skip_special_tokens=False)
    assert joined.removeprefix(" ") == whole.removeprefix(" ")  # metaspace begins with one
