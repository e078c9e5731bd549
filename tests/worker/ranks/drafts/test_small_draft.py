"""A small model that drafts has the tokens of the one that it drafts for."""

import json
from pathlib import Path

import pytest

from raylax.worker.errors import ConfigError
from raylax.worker.ranks.drafts.small_draft import check_tokenizers
from tests.support.checkpoints import write_checkpoint


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
