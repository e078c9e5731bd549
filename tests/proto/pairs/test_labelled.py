"""What a model with a head for labels is shown of a pair."""

import json
import random
from pathlib import Path

import pytest

from raylax.proto.calls.prompt_work import ChatWork, TextsWork
from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.scores import ScoreRequest
from raylax.proto.pairs.labelled import check_labels, labelled_works
from raylax.proto.text.files import TextFiles
from tests.support.checkpoints import write_checkpoint
from tests.support.family_checkpoints import write_family
from tests.support.family_configs import CONFIGS
from tests.support.prompt_families import MARKED_TURNS

BODY = ScoreRequest(queries=["a", "b"], documents=["c", "d"])


def loaded(path: Path, **config: object) -> Frontend:
    """Of a reranker with a chat template for anything."""
    write_family(path, "qwen3-reranker")
    (path / "config.json").write_text(json.dumps({**CONFIGS["qwen3-reranker"], **config}))
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": MARKED_TURNS}))
    return Frontend.load(TextFiles(path), "tiny", 4096, random.Random(1))


def test_a_template_for_any_chat_shows_no_pair(tmp_path: Path) -> None:
    """It is often that of the model which a reranker was made of. Each text is one pair."""
    works = labelled_works(loaded(tmp_path), BODY)

    assert works == [TextsWork(["ac", "bd"], True, "documents", 4096)]


def test_one_that_was_converted_is_shown_what_it_was_as_a_judge(tmp_path: Path) -> None:
    frontend = loaded(tmp_path, classifier_from_token=["n", "y"])
    first, second = labelled_works(frontend, BODY)

    assert isinstance(first, ChatWork) and isinstance(second, ChatWork)
    assert "<Query>: a\n<Document>: c<|im_end|>" in frontend.prompts.prompt(first).text
    assert "<Query>: b\n<Document>: d<|im_end|>" in frontend.prompts.prompt(second).text


def test_a_head_for_tokens_has_no_labels(tmp_path: Path) -> None:
    frontend = Frontend.load(TextFiles(write_checkpoint(tmp_path)), "tiny", 256, random.Random(1))

    with pytest.raises(InvalidRequest, match="tiny has no labels: its head is for tokens"):
        check_labels(frontend)
