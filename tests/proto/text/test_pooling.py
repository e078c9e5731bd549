"""Whose settings of embeddings we can follow."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.errors import InvalidRequest
from raylax.proto.frontend import Frontend
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.text.files import TextFiles
from tests.support.checkpoints import write_checkpoint

SWITCHES = {"word_embedding_dimension": 64, "pooling_mode_cls_token": False, "include_prompt": True}
STEPS = ["Transformer", "Pooling", "Normalize"]


def frontend(path: Path, pooling: Any = None, steps: list[str] | None = None) -> Frontend:
    checkpoint = write_checkpoint(path)
    if pooling is not None:
        (path / "1_Pooling").mkdir()
        (path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if steps is not None:
        modules = [{"idx": i, "type": f"some.models.{step}"} for i, step in enumerate(steps)]
        (path / "modules.json").write_text(json.dumps(modules))
    return Frontend.load(TextFiles(checkpoint), "tiny", 256, random.Random(1))


@pytest.mark.parametrize(
    "pooling",
    [
        None,
        {**SWITCHES, "pooling_mode_lasttoken": True},
        {"embedding_dimension": 64, "pooling_mode": "lasttoken"},
    ],
)
def test_the_last_token_is_what_we_do(tmp_path: Path, pooling: Any) -> None:
    """With no settings, or with those of either version that say so."""
    made = frontend(tmp_path, pooling, STEPS)
    (request,) = made.embedding(EmbeddingRequest(input="abc")).requests

    assert (request.prompt, request.max_tokens, request.embed) == ((65, 66, 67), 1, True)


@pytest.mark.parametrize(
    ("pooling", "steps", "words"),
    [
        ({**SWITCHES, "pooling_mode_mean_tokens": True}, STEPS, "pools by mean, only lasttoken"),
        (
            {**SWITCHES, "pooling_mode_max_tokens": True, "pooling_mode_lasttoken": True},
            STEPS,
            "pools by max, lasttoken, only",
        ),
        ({"pooling_mode": "weightedmean"}, STEPS, "pools by weightedmean, only lasttoken"),
        (SWITCHES, STEPS, "pools by nothing, only lasttoken"),
        (None, [*STEPS[:2], "Dense"], "modules.json has a step Dense, only Transformer, Pooling"),
        ("last", STEPS, "1_Pooling/config.json or modules.json is not valid"),
    ],
)
def test_what_we_cannot_do_is_refused_by_name(
    tmp_path: Path, pooling: Any, steps: list[str], words: str
) -> None:
    """Of embeddings; such a checkpoint still answers."""
    made = frontend(tmp_path, pooling, steps)

    with pytest.raises(InvalidRequest, match=f"tiny has no embeddings: .*{words}"):
        made.embedding(EmbeddingRequest(input="abc"))
