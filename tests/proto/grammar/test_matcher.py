"""Where an answer stands in its grammar."""

from pathlib import Path

import numpy as np
import pytest

from raylax.proto.calls.sampling_defaults import vocabulary_for_grammars
from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.matcher import GrammarError, Mask
from raylax.proto.grammar.matchers import MOST_KEPT, Matchers
from raylax.proto.grammar.writing import grammar_of
from raylax.proto.text.files import TextFiles
from tests.support.checkpoints import write_checkpoint

VOCAB = 128
"""The model's: more than its tokenizer has."""
NUMBER = grammar_of(Constraint("regex", "x(12|13)", "field"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TextFiles:
    return TextFiles(write_checkpoint(tmp_path_factory.mktemp("model")))


@pytest.fixture
def matchers(files: TextFiles) -> Matchers:
    return Matchers(lambda: vocabulary_for_grammars(files, VOCAB), VOCAB)


def ids(text: str) -> list[int]:
    return [ord(letter) - 32 for letter in text]


def letters(mask: Mask | None) -> str:
    assert mask is not None
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    return "".join(chr(32 + id) for id in np.flatnonzero(bits))


def test_what_may_follow(matchers: Matchers) -> None:
    one = matchers.matcher(NUMBER)

    assert letters(one.mask()) == "x"
    assert letters(one.mask(ids("x"))) == "1"
    assert letters(one.mask(ids("x1"))) == "23"
    assert one.forced() == ids("x1")
    assert one.allowed(ids("x14")) == 2


def test_a_draft_leaves_it_where_it_was(matchers: Matchers) -> None:
    one = matchers.matcher(NUMBER)
    one.mask(ids("x12"))
    one.mask(ids("x7"))

    assert letters(one.mask()) == "x"
    assert one.advance(ids("x13"))
    assert one.complete


def test_what_is_behind_a_draft_that_is_not_in_it_does_not_matter(matchers: Matchers) -> None:
    assert matchers.matcher(NUMBER).mask(ids("y")) is None


def test_it_begins_behind_a_mark_wherever_that_is_cut(matchers: Matchers) -> None:
    mark, said = tuple(ids("</t>")), ids("hm </t</t>")
    for cut in range(len(said)):
        one = matchers.matcher(NUMBER, mark)
        assert one.mask() is None
        assert one.advance(said[:cut])
        assert one.mask(said[cut:-1]) is None
        assert letters(one.mask(said[cut:])) == "x"
        assert letters(one.mask([*said[cut:], *ids("x")])) == "1"
        assert one.advance([*said[cut:], *ids("x1")])
        assert letters(one.mask()) == "23"
        assert not one.complete


def test_what_is_not_allowed_is_its_end(matchers: Matchers) -> None:
    one = matchers.matcher(NUMBER)

    assert not one.advance(ids("z"))
    assert not one.complete
    with pytest.raises(GrammarError, match="^the grammar: "):
        one.mask()


def test_what_becomes_too_complex_is_its_end(matchers: Matchers) -> None:
    """Its masks are bounded by what they may take, not by whoever wrote it."""
    many = " | ".join(f"r{i}" for i in range(900))
    rules = "\n".join(f'r{i}: "a" r{i} "b" | "a"' for i in range(900))
    grammar = grammar_of(Constraint("grammar", f"start: ({many})+\n{rules}", "field"))
    with pytest.raises(GrammarError):
        one = matchers.matcher(grammar)
        for _ in range(60):
            one.mask()
            one.advance(ids("a"))


def test_what_no_token_writes_is_its_end(matchers: Matchers) -> None:
    """The tokenizer leaves such letters out, and what it makes of the rest is not taken for it."""
    one = matchers.matcher(grammar_of(Constraint("choice", ["xŠy"], "field")))

    assert one.forced() == ids("x")
    assert one.advance(ids("x"))
    with pytest.raises(GrammarError, match="no token of this model can go on"):
        one.mask()


def test_each_answer_has_its_own_place(matchers: Matchers) -> None:
    """Though a grammar is compiled once."""
    first, second = matchers.matcher(NUMBER), matchers.matcher(NUMBER)
    first.advance(ids("x"))

    assert letters(first.mask()) == "1"
    assert letters(second.mask()) == "x"


def test_so_many_grammars_are_kept(matchers: Matchers) -> None:
    for i in range(MOST_KEPT + 5):
        matchers.matcher(grammar_of(Constraint("choice", [f"x{i}"], "field")))

    assert len(matchers._kept) == MOST_KEPT


def test_a_model_without_an_end_follows_none(tmp_path: Path) -> None:
    files = TextFiles(write_checkpoint(tmp_path, eos_token_id=None))
    made = Matchers(lambda: vocabulary_for_grammars(files, VOCAB), VOCAB)

    with pytest.raises(ValueError, match="this model can follow no grammar: it has no end token"):
        made.matcher(NUMBER)
