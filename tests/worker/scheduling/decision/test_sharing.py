"""Who waits for another's pages, in a table of all prompts of three pages."""

from itertools import product

import pytest

from raylax.worker.scheduling.decision.sharing import Filling, is_filled_by_others


def named(prompt: str) -> list[str]:
    """A name tells of all up to its page, as real ones do."""
    return [prompt[: end + 1] for end in range(len(prompt))]


PROMPTS = ["".join(pages) for length in range(4) for pages in product("ab", repeat=length)]


@pytest.mark.parametrize("leader", PROMPTS)
def test_it_waits_as_long_as_both_go_on_alike(leader: str) -> None:
    """For the next page that it lacks, and never for one behind the first difference."""
    for prompt in PROMPTS:
        for found in range(len(prompt) + 1):
            alike = len(prompt) > found and leader[: found + 1] == prompt[: found + 1]

            assert is_filled_by_others(named(prompt), found, [Filling(named(leader))]) == alike


def test_nobody_waits_for_another_tenants_prompt() -> None:
    """That may get on slowly, by its share."""
    theirs = [Filling(named("ab"), "them")]

    assert not is_filled_by_others(named("ab"), 0, theirs, "us")
    assert is_filled_by_others(named("ab"), 0, [*theirs, Filling(named("aa"), "us")], "us")


def test_nobody_waits_for_nobody() -> None:
    assert not is_filled_by_others(named("ab"), 0, [])
