"""Which model drafts: where it lies, and what is said where there is none, or too much."""

from pathlib import Path

import pytest

from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.modes import draft_of
from raylax.worker.ranks.drafts.small_draft import SmallDraft


def small(model: Path, **changed: object) -> EngineConfig:
    """A configuration in which a model drafts."""
    return EngineConfig(str(model), speculative_mode="small_draft").complete(**changed)


def test_nobody_drafts_where_nothing_is_said(checkpoint: Path) -> None:
    assert draft_of(EngineConfig(str(checkpoint))) is None


def test_a_model_may_bring_its_own(tmp_path: Path) -> None:
    """In a directory of the mode's name; one that is named comes first."""
    (tmp_path / "small_draft").mkdir()
    own, named = small(tmp_path), small(tmp_path, additional_models=[tmp_path])

    assert draft_of(own) == SmallDraft(tmp_path / "small_draft", tmp_path)
    assert draft_of(named) == SmallDraft(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, r"needs a model that drafts: additional_models names none, and the model has nothing"),
        ({"additional_models": ("/no/where",)}, r"additional_models has nothing at /no/where"),
        ({"additional_models": ("/a", "/b")}, r"one of additional_models can draft, found 2"),
        (
            {"speculative_mode": "ngram", "additional_models": ("/a",)},
            r"drafts in speculative_mode small_draft.*, found '/a' and speculative_mode='ngram'",
        ),
        (
            {"speculative_mode": "ngram", "spec_tree_width": 2},
            "spec_tree_width is of models that draft.*; found 2 and speculative_mode='ngram'",
        ),
    ],
)
def test_what_is_missing_or_too_much_is_said(
    tmp_path: Path, changed: dict[str, object], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        draft_of(small(tmp_path, **changed))
