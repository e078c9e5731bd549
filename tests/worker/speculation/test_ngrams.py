"""Drafts by the last tokens."""

import time

import numpy as np
import pytest

from raylax.worker.speculation import ngrams
from raylax.worker.speculation.ngrams import NGrams

TEXT = [1, 2, 3, 4, 5, 6]


def draft(text: list[int], most: int = 8, known: int = 0) -> list[int]:
    """Of a text that is told in two parts, the second token by token."""
    grams = NGrams()
    grams.tell(text[:known])
    for end in range(known + 1, len(text) + 1):
        grams.tell(text[:end])
    return grams.draft(text, most)


@pytest.mark.parametrize("known", [0, 1, 2, 3, 4, 9, 10])
@pytest.mark.parametrize(
    ("text", "want"),
    [
        ([], []),
        ([7], []),
        ([7, 7], []),
        (TEXT, []),
        ([*TEXT, 1, 2], []),
        ([*TEXT, 1, 2, 3], [4, 5, 6, 1]),
        ([*TEXT, 9, 2, 3, 4], [5, 6, 9, 2]),
        ([*TEXT, 1, 2, 3, 9], []),
        ([*TEXT, 1, 2, 3, 7, 8, 1, 2, 3], [7, 8, 1, 2]),
        ([*TEXT, 1, 2, 3, 4, 8, 2, 3, 4], [8, 2, 3, 4]),
    ],
)
def test_what_followed_the_same_tokens_last_time(
    text: list[int], want: list[int], known: int
) -> None:
    """However much of the text was told at once."""
    assert draft(text, 4, min(known, len(text))) == want


def test_a_text_that_repeats_itself_is_thought_to_go_on() -> None:
    """Beyond its own end."""
    assert draft([5, 6, 5, 6, 5, 6], 7) == [5, 6, 5, 6, 5, 6, 5]
    assert draft([8] * 4, 5) == [8] * 5


def test_a_match_goes_on_as_long_as_it_holds() -> None:
    """Though the same tokens stood in a later place, too, where something else followed."""
    text = [1, 2, 3, 4, 5, 6, 9, 2, 3, 4, 7, 0, 1, 2, 3]
    grams = NGrams()
    grams.tell(text)
    assert grams.matched == 3
    grams.tell([*text, 4])
    assert (grams.matched, grams.draft([*text, 4], 3)) == (4, [5, 6, 9])


def test_ids_of_any_vocabulary_are_told_apart() -> None:
    """Up to two million of them."""
    most = (1 << ngrams.WIDTH) - 1
    assert draft([most, 0, most, 11, 0, 0, 1, most, 0, most], 1) == [11]
    assert draft([0, most, 0, 11, most, most, 1, 1, most, 0], 1) == []


def test_only_the_last_part_of_a_long_text_is_looked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As much as memory is meant for."""
    monkeypatch.setattr(ngrams, "FARTHEST", 6)
    text = [1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 7]
    assert draft([*text, 1, 2, 3], 2, len(text)) == []
    assert draft([*text[:8], 9, 6, 7, 8], 2, 9) == [9, 6]


def test_it_proposes_what_a_look_through_the_text_would_find() -> None:
    """Where the last three tokens stood before, unless an older match goes on."""
    tokens = np.random.default_rng(0).integers(0, 4, 400).tolist()
    grams, follows = NGrams(), None
    for end in range(1, len(tokens) + 1):
        text = tokens[:end]
        grams.tell(text)
        if follows is not None and tokens[follows] == text[-1]:
            follows += 1
        else:
            before = [at for at in range(3, end) if text[at - 3 : at] == text[-3:]]
            follows = before[-1] if before else None
        assert grams.draft(text, 1) == ([] if follows is None else [tokens[follows]])


def test_a_long_prompt_is_taken_in_at_once() -> None:
    """64 thousand tokens, in far less than a step of them takes."""
    text = np.random.default_rng(1).integers(0, 50_000, ngrams.FARTHEST).tolist()
    took = []
    for _ in range(3):
        begun = time.thread_time()
        NGrams().tell(text)
        took.append(time.thread_time() - begun)
    assert min(took) < 0.2
