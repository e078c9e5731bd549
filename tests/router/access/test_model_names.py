"""By which names a model may be asked, as a table."""

import pytest

from raylax.router.access.model_names import ModelNames

NAMES = ModelNames({
    "a": ("gpt-4o", "claude-*", "*-mini"),
    "b": ("claude-opus-*", "claude-opus-4", "x[1]?*", "a*"),
})  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        ("a", "a"), ("b", "b"), ("gpt-4o", "a"), ("gpt-4", None), ("GPT-4o", None),
        ("claude-sonnet", "a"), ("claude-opus-5", "b"), ("claude-opus-4", "b"), ("claude", None),
        ("o-mini", "a"), ("x[1]?y", "b"), ("x1zy", None), ("ab", "b"), ("", None),
    ],
)  # fmt: skip
def test_the_name_that_says_most_wins(asked: str, model: str | None) -> None:
    """A model's own name before aliases, and those before patterns."""
    assert NAMES.model_of(asked) == model
