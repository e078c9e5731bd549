"""What is thought of drafts after what came of others."""

import pytest

from raylax.worker.speculation.acceptance import AT_FIRST, LENGTHS, Experience, Record


def test_who_is_new_is_thought_of_as_the_others_with_such_a_match() -> None:
    known = Experience()
    for _ in range(100):
        known.add(3, 4, 0)
        known.add(30, 4, 4)

    assert known.likely(3, Record()) < 0.1
    assert known.likely(30, Record()) > 0.9
    assert known.likely(5, Record()) == AT_FIRST


def test_what_a_sequence_has_shown_counts_more() -> None:
    known, own = Experience(), Record()
    for _ in range(100):
        known.add(3, 4, 4)
    for _ in range(5):
        own.add(2, 0)

    assert known.likely(3, own) < 0.25


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 1.0])
def test_it_comes_near_the_share_that_is_right(share: float) -> None:
    own, right = Record(), 0.0
    for _ in range(200):
        right += share
        own.add(1, int(right))
        right -= int(right)

    assert own.share(0.5) == pytest.approx(share, abs=0.2)


def test_what_a_sequence_has_shown_is_forgotten_as_it_goes_on() -> None:
    """So that a text that changes is tried again."""
    own = Record()
    own.add(16, 0)
    begun = own.share(0.9)
    for _ in range(300):
        own.forget()

    assert begun < 0.25
    assert own.share(0.9) > 0.7


def test_every_length_has_its_class() -> None:
    known = Experience()
    for length in (3, *LENGTHS, 1000):
        known.add(length, 1, 1)
        assert known.likely(length, Record()) > AT_FIRST
