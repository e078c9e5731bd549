"""Which models are rerankers that generate, by their files or by a setting."""

import json
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.frontend import Frontend
from raylax.proto.text.files import TextFiles
from raylax.proto.text.judging import Judge, judge_of
from tests.support.checkpoints import write_checkpoint

WORDS = {"yes": [7], "no": [3], "true": [8], "false": [5], "maybe": [1, 2]}


def test_a_model_is_none_if_nobody_says_so() -> None:
    assert judge_of("auto", {}, {}, WORDS.__getitem__) is None


@pytest.mark.parametrize(
    ("asked", "config", "module", "judge"),
    [
        ("yes_no", {}, {}, Judge(7, 3)),
        ("yes_no", {"classifier_from_token": ["false", "true"]}, {}, Judge(7, 3)),
        ("yes_no", {}, {"true_token_id": 4, "false_token_id": 2}, Judge(7, 3)),
        ("auto", {"classifier_from_token": ["false", "true"]}, {}, Judge(8, 5)),
        ("auto", {}, {"true_token_id": 4, "false_token_id": 2}, Judge(4, 2)),
        ("none", {"classifier_from_token": ["no", "yes"]}, {"true_token_id": 4}, None),
    ],
)
def test_a_setting_holds_over_the_files(
    asked: str, config: dict[str, Any], module: dict[str, Any], judge: Judge | None
) -> None:
    assert judge_of(asked, config, module, WORDS.__getitem__) == judge


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"classifier_from_token": ["no", "maybe"]}, "token each, 'no' has 1 and 'maybe' has 2"),
        ({"classifier_from_token": "yes"}, "classifier_from_token must be two words, found 'yes'"),
        ({"classifier_from_token": ["yes"]}, "classifier_from_token must be two words"),
    ],
)
def test_words_that_cannot_be_counted_are_an_error(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        judge_of("auto", config, {}, WORDS.__getitem__)


def test_the_files_of_sentence_transformers_name_the_tokens(tmp_path: Path) -> None:
    """In the settings of a step; such a model has no embeddings."""
    files = TextFiles(write_checkpoint(tmp_path))
    steps = [("", "Transformer"), ("1_LogitScore", "LogitScore")]
    modules = [{"path": path, "type": f"sentence_transformers.{kind}"} for path, kind in steps]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_LogitScore").mkdir()
    settings = {"true_token_id": 57, "false_token_id": 46}
    (tmp_path / "1_LogitScore" / "config.json").write_text(json.dumps(settings))
    loaded = Frontend.load(files, "tiny", 256)

    assert loaded.judge == Judge(57, 46)
    assert "LogitScore" in (loaded.pooling.unsupported or "")
    assert Frontend.load(files, "tiny", 256, reranker="none").judge is None
