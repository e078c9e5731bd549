"""Streaming text: together exactly the whole text, never half a character."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Fast
from tokenizers import decoders, models

from raylax.proto.text.detokenizer import LONGEST_WAIT, Detokenizer
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


@pytest.mark.parametrize("count", [1, 2, 3])
def test_bytes_of_no_character_keep_their_place(tokenizer: Tokenizer, count: int) -> None:
    """Before tokens that are text wherever they stand."""
    half, letters = tokenizer.encode("👋")[-4:], tokenizer.encode("hello")
    ids = [*letters, *half[:count], *letters, half[0], *letters]

    assert "".join(stream(tokenizer, [[i] for i in ids])) == tokenizer.decode(ids)


def with_marks(tokenizer: Tokenizer, path: Path) -> Tokenizer:
    """The same with a special token and a piece that is empty."""
    tokenizer._tokenizer.save(str(path / "tokenizer.json"))
    fast = Fast.from_file(str(path / "tokenizer.json"))
    fast.add_special_tokens(["<mark>"])
    fast.save(str(path / "tokenizer.json"))
    return Tokenizer(path / "tokenizer.json")


@pytest.mark.parametrize("kind", ["mark", "nothing", "half", "space", "letters"])
def test_each_token_costs_the_same(
    tokenizer: Tokenizer, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that add no text, or are never a character."""
    made = with_marks(tokenizer, tmp_path)
    ids = {
        "mark": made.id_of("<mark>"),
        "nothing": 1 << 20,
        "half": made.encode("👋")[-2],
        "space": made.encode(" ")[0],
        "letters": made.encode("hello")[0],
    }
    decoded = 0

    def counted(self: Tokenizer, given: Sequence[int], skip_special_tokens: bool = True) -> str:
        nonlocal decoded
        decoded += len(given)
        return real(self, given, skip_special_tokens)

    real = Tokenizer.decode
    monkeypatch.setattr(Tokenizer, "decode", counted)
    stream(made, [[ids[kind] or 0]] * 2000)

    assert decoded <= 2000 * 2 * LONGEST_WAIT


def test_tokens_that_a_decoder_leaves_out_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though they are neither special nor nothing."""
    fast = Fast(models.WordLevel({"a": 0, "~": 1}, unk_token="a"))
    fast.decoder = decoders.Sequence([decoders.Replace("~", ""), decoders.Fuse()])
    fast.save(str(tmp_path / "tokenizer.json"))
    made, longest = Tokenizer(tmp_path / "tokenizer.json"), 0

    def measured(self: Tokenizer, given: Sequence[int], skip_special_tokens: bool = True) -> str:
        nonlocal longest
        longest = max(longest, len(given))
        return real(self, given, skip_special_tokens)

    real = Tokenizer.decode
    monkeypatch.setattr(Tokenizer, "decode", measured)

    assert "".join(stream(made, [[0], *[[1]] * 100, [0, 1, 0]])) == "aaa"
    assert longest <= 2 * LONGEST_WAIT


def test_special_tokens_between_the_bytes_of_a_character(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    """Text is made without them, or with their names where these are looked for."""
    made = with_marks(tokenizer, tmp_path)
    mark, (first, *rest) = made.id_of("<mark>") or 0, made.encode("👋")
    said = [*[[i] for i in made.encode("a b")], [mark], [first], [mark], rest, [mark] * 20]

    assert "".join(stream(made, said)) == made.decode(sum(said, []))
    shown = Detokenizer(made, frozenset({mark}))
    assert shown.add([*made.encode("a b"), mark, *made.encode("c")]).count("<mark>") == 1


def test_an_answer_goes_on_with_the_text_of_its_prompt(tokenizer: Tokenizer) -> None:
    """Whoever strips the first space of a text leaves that of an answer."""
    ids = tokenizer.encode("hello two")
    known = tokenizer.decode(ids[:1])
    after = Detokenizer(tokenizer, continues=True)
    said = after.add(ids) + after.finish()

    assert known and said.strip() == "hello two"
    assert said == b"".join(map(tokenizer.bytes_of, ids)).decode()
