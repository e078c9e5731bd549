"""The model that drafts: where it lies, and what is said of one that cannot."""

import json
from pathlib import Path

import pytest

from raylax.kernels.options import ModelOptions
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.needs import (
    check_tokenizers,
    draft_model_of,
    draft_needs,
)
from raylax.worker.ranks.loading import plan_rank
from tests.support.checkpoints import write_checkpoint


def small(model: Path, **changed: object) -> EngineConfig:
    """A configuration in which a model drafts."""
    return EngineConfig(str(model), speculative_mode="small_draft").complete(**changed)


def test_nobody_drafts_where_nothing_is_said(checkpoint: Path) -> None:
    assert draft_model_of(EngineConfig(str(checkpoint))) is None


def test_a_model_may_bring_its_own(tmp_path: Path) -> None:
    """In a directory of the mode's name; one that is named comes first."""
    (tmp_path / "small_draft").mkdir()
    own, named = small(tmp_path), small(tmp_path, additional_models=[tmp_path])

    assert draft_model_of(own) == tmp_path / "small_draft"
    assert draft_model_of(named) == tmp_path


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
        draft_model_of(small(tmp_path, **changed))


def test_nothing_drafts_on_a_gpu(checkpoint: Path) -> None:
    """Which changes no token; what is asked for is looked for all the same."""
    config, gpu = small(checkpoint, additional_models=[checkpoint]), ModelOptions(device="cuda:0")
    assert draft_needs(config, ModelOptions(), 64, 4) is not None
    assert draft_needs(config, gpu, 64, 4) is None
    with pytest.raises(ConfigError, match="nothing at /no/where"):
        draft_needs(small(checkpoint, additional_models=["/no/where"]), gpu, 64, 4)


def test_its_memory_counts(checkpoint: Path) -> None:
    """So there are fewer pages in the same memory."""
    room, sizes = 40 << 20, {"max_num_sequence": 2, "max_single_sequence_length": 64}
    drafting = small(checkpoint, mode="server", kv_cache_bytes=1 << 17, **sizes).complete(
        additional_models=[str(checkpoint)]
    )
    alone = drafting.complete(additional_models=(), speculative_mode="ngram")
    _, beside = plan_rank(drafting, "cpu", room)
    _, without = plan_rank(alone, "cpu", room)

    assert beside.pages == without.pages // 2


def other_tokens(directory: Path, change: dict[str, int]) -> Path:
    """A model whose tokenizer has these tokens elsewhere."""
    made = write_checkpoint(directory)
    file = made / "tokenizer.json"
    facts = json.loads(file.read_text())
    facts["model"]["vocab"] = {**facts["model"]["vocab"], **change}
    file.write_text(json.dumps(facts))
    return made


def test_a_model_of_another_tokenizer_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    """With a token that shows it."""
    vocab = json.loads((checkpoint / "tokenizer.json").read_text())["model"]["vocab"]
    first, second = sorted(vocab, key=vocab.__getitem__)[50:52]
    other = other_tokens(tmp_path, {first: vocab[second], second: vocab[first]})
    check_tokenizers(checkpoint, checkpoint)
    with pytest.raises(ConfigError, match=f"token {vocab[first]} is .* there and .* here"):
        check_tokenizers(checkpoint, other)


def test_a_model_without_a_tokenizer_cannot_draft(checkpoint: Path, tmp_path: Path) -> None:
    made = write_checkpoint(tmp_path)
    (made / "tokenizer.json").unlink()
    with pytest.raises(Exception, match=r"tokenizer"):
        check_tokenizers(checkpoint, made)
