"""Stop strings: the text ends before the first one, however it was cut."""

import random
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylax.proto.text.stop_strings import StopPattern, StopStrings


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


@pytest.mark.parametrize(
    ("asked", "own", "matched"),
    [([], ["b"], None), (["b"], ["b"], "b"), (["c"], ["b"], None), (["b"], ["c"], "b")],
)
def test_the_models_own_end_a_text_and_nobody_is_told(
    asked: list[str], own: list[str], matched: str | None
) -> None:
    """Unless the client asks for the same."""
    watch = StopStrings(asked, own)

    assert (watch.wanted, watch.add("abcd"), watch.matched) == (True, "a", matched)
    assert watch.stopped


def test_a_match_is_found_inside_of_what_was_nearly_another() -> None:
    """At once and letter by letter: every short one, and long ones after beginnings of theirs."""
    rng = random.Random(4)
    words = ["".join(one) for size in range(1, 8) for one in product("ab", repeat=size)]
    cases = [(word, text) for word in words if len(word) < 5 for text in words]
    for _ in range(1000):
        stop = "".join(rng.choices("ab", k=rng.randint(5, 14)))
        cases.append((stop, "".join(stop[: rng.randint(1, len(stop))] for _ in range(12))))
    for stop, text in cases:
        begin = text.find(stop)
        for pieces in ([text], list(text)):
            watch = StopStrings([stop])
            said = "".join(map(watch.add, pieces)) + watch.finish()

            assert said == (text if begin < 0 else text[:begin]), (stop, text)


def first_match(text: str, stops: list[str]) -> int | None:
    """Where the match that completes first begins; among those, the longest one."""
    for end in range(1, len(text) + 1):
        begins = [end - len(s) for s in stops if text[:end].endswith(s)]
        if begins:
            return min(begins)
    return None


@pytest.mark.parametrize("last", ["b", "a" * 900 + "c"])
def test_no_character_is_read_often(last: str) -> None:
    """Stop strings that are nearly there all the time cost no more than others: each one takes at
    most two steps a character."""
    text = ("a" * 1000 + last) * 20
    reads = 0

    class Counted(str):
        __slots__ = ()

        def __getitem__(self, at: Any) -> str:
            nonlocal reads
            reads += 1
            return super().__getitem__(at)

    size = 0
    pattern = StopPattern("a" * 1023 + "d")
    for begin in range(0, len(text), 3):
        size, end = pattern.advance(size, Counted(text[begin : begin + 3]))
        assert end is None

    assert reads <= 2 * len(text)


def test_a_token_ends_the_text_where_it_stands() -> None:
    watch = StopStrings(["abc"])
    said = watch.add("xab") + watch.finish()
    watch.end_at("<|end|>")

    assert (said, watch.matched, watch.stopped, watch.add("more")) == ("xab", "<|end|>", True, "")
