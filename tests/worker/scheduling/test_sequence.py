"""A sequence: what is computed, what is pending, what its pages are called."""

from raylax.proto.pages import ROOT, chain
from raylax.proto.vocabulary import Request
from raylax.worker.scheduling.sequence import Phase, Sequence


def test_history_counts_as_answer() -> None:
    """The next draw is keyed by the position in the whole answer."""
    one = Sequence(Request("r", (1, 2, 3), 9, history=(4, 5)))

    assert list(one.tokens) == [1, 2, 3, 4, 5]
    assert (one.generated, one.pending) == (2, 5)
    one.computed = 4
    assert one.pending == 1


def test_one_token_left_is_a_decode() -> None:
    """Which wants a row for its draw; so does the end of a prefill, and no chunk before it."""
    one = Sequence(Request("r", (1, 2, 3), 9))
    assert (one.phase, one.rows_wanted(2), one.rows_wanted(3)) == (Phase.PREFILL, 0, 1)
    one.computed = 2
    assert (one.phase, one.rows_wanted(1)) == (Phase.DECODE, 1)


def test_an_answer_is_cut_to_what_a_sequence_holds() -> None:
    assert Sequence(Request("r", (1,) * 5, 100), longest=20).max_tokens == 15
    assert Sequence(Request("r", (1,) * 5, 15), longest=20).max_tokens == 15
    assert Sequence(Request("r", (1,) * 19, 7), longest=20).max_tokens == 1
    assert Sequence(Request("r", (1,) * 5, 100)).max_tokens == 100


def test_pages_are_named_as_they_fill() -> None:
    """The same names, whether asked for at once or as the sequence grows."""
    one = Sequence(Request("r", tuple(range(33)), 9))
    first = chain(ROOT, range(16))
    second = chain(first, range(16, 32))

    assert one.name_pages(15) == []
    assert one.name_pages(16) == [first]
    assert one.name_pages(33) == [first, second]
    assert one.name_pages(31) == [first]
