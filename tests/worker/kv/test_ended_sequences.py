"""Whose pages are kept after their end."""

import random

from raylax.worker.kv.ended_sequences import EndedSequences


def test_the_last_ones_are_kept() -> None:
    """A page that several have stays as long as one of them does."""
    ended = EndedSequences(2)

    assert ended.end("a", [1, 2]) == []
    assert ended.end("b", [1, 3]) == []
    assert ended.end("c", [4]) == [2]
    assert ended.end("d", [5]) == [1, 3]


def test_one_that_comes_back_is_the_last_again() -> None:
    """With the pages that it has now."""
    ended = EndedSequences(2)
    ended.end("a", [1, 2])
    ended.end("b", [3])

    assert ended.end("a", [1, 4]) == [2]
    assert ended.end("c", [5]) == [3]
    assert len(ended) == 2


def test_none_are_kept() -> None:
    assert EndedSequences(0).end("a", [3, 1]) == [3, 1]


def test_what_is_remembered_is_bounded() -> None:
    """And each page that was given is told once it is nobody's."""
    rng, ended, kept = random.Random(2), EndedSequences(3), dict[str, set[int]]()
    for _ in range(500):
        name, pages = str(rng.randrange(8)), rng.sample(range(12), rng.randrange(4))
        before = set().union(*kept.values(), pages)
        kept.pop(name, None)
        kept[name] = set(pages)
        kept = dict(list(kept.items())[-3:])
        assert set(ended.end(name, pages)) == before - set().union(*kept.values())
        assert len(ended) == len(kept)
