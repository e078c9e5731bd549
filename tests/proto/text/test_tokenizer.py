"""Streaming text: together exactly the whole text, never half a character."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Fast
from tokenizers import decoders, models, pre_tokenizers, trainers

from raylax.proto.text.tokenizer import (
    INCOMPLETE,
    Detokenizer,
    StopStrings,
    Tokenizer,
)

TEXTS = ["hello world", "Grüße, 世界! 👋🏽", " two  spaces", "a\nb\tc", "x" * 40]


@pytest.fixture(scope="module", params=["byte-level", "metaspace"])
def tokenizer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Tokenizer:
    """The two kinds that open-weights models use."""
    if request.param == "byte-level":
        fast = Fast(models.BPE())
        fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        fast.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet)
    else:
        fast = Fast(models.BPE(byte_fallback=True, unk_token="<unk>"))
        fast.pre_tokenizer = pre_tokenizers.Metaspace()
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        fast.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)])
        bytes_ = [f"<0x{i:02X}>" for i in range(256)]
        trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=["<unk>"])
        fast.add_tokens(bytes_)
    fast.train_from_iterator(["hello world hello two spaces"], trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    fast.save(str(path))
    return Tokenizer(path)


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


def test_no_piece_ends_inside_a_character(tmp_path: Path, tokenizer: Tokenizer) -> None:
    """An emoji of several tokens appears at once."""
    ids = tokenizer.encode("👋🏽é")

    assert all(INCOMPLETE not in piece for piece in stream(tokenizer, [[i] for i in ids]))


@pytest.mark.parametrize("text", TEXTS)
def test_the_bytes_of_tokens_make_the_text(tokenizer: Tokenizer, text: str) -> None:
    """Each token's own, parts of characters and special tokens included."""
    ids = tokenizer.encode(text)
    joined = b"".join(tokenizer.bytes_of(token) for token in ids).decode()

    whole = tokenizer._tokenizer.decode(ids, skip_special_tokens=False)
    assert joined.removeprefix(" ") == whole.removeprefix(" ")  # metaspace begins with one


def test_bytes_that_never_become_a_character_are_given_in_the_end(tokenizer: Tokenizer) -> None:
    """A model may stop, or stay, inside one; nothing waits for ever."""
    half = tokenizer.encode("👋")[:-1]

    pieces = stream(tokenizer, [[i] for i in half])

    assert pieces[-1] == tokenizer.decode(half)


@given(
    text=st.text("abc", max_size=30),
    stops=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 30), max_size=8),
)
def test_stop_strings_cut_at_the_first_match(text: str, stops: list[str], cuts: list[int]) -> None:
    """The same for every way to cut the text into pieces."""
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    watch = StopStrings(stops)
    said = (
        "".join(watch.add(text[a:b]) for a, b in zip(borders, borders[1:], strict=False))
        + watch.finish()
    )

    ends = first_match(text, stops)

    assert watch.stopped == (ends is not None)
    assert said == (text if ends is None else text[:ends])


def first_match(text: str, stops: list[str]) -> int | None:
    """Where the match that completes first begins; among those, the longest one."""
    for end in range(1, len(text) + 1):
        begins = [end - len(s) for s in stops if text[:end].endswith(s)]
        if begins:
            return min(begins)
    return None
