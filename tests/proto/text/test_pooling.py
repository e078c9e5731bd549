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
from raylax.proto.text.pooling import How, Pooling
from tests.support.checkpoints import write_checkpoint

SWITCHES = {"word_embedding_dimension": 64, "pooling_mode_cls_token": False, "include_prompt": True}
STEPS = ["Transformer", "Pooling", "Normalize"]


def frontend(
    path: Path, pooling: Any = None, steps: list[str] | None = None, asked: str = "auto"
) -> Frontend:
    checkpoint = write_checkpoint(path)
    if pooling is not None:
        (path / "1_Pooling").mkdir()
        (path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if steps is not None:
        modules = [{"idx": i, "type": f"some.models.{step}"} for i, step in enumerate(steps)]
        (path / "modules.json").write_text(json.dumps(modules))
    return Frontend.load(TextFiles(checkpoint), "tiny", 256, random.Random(1), pooling=asked)


@pytest.mark.parametrize(
    ("pooling", "how"),
    [
        (None, "last"),
        ({**SWITCHES, "pooling_mode_lasttoken": True}, "last"),
        ({"embedding_dimension": 64, "pooling_mode": "lasttoken"}, "last"),
        ({**SWITCHES, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "mean"}, "mean"),
        ({**SWITCHES, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_the_files_say_whose_state_it_is(tmp_path: Path, pooling: Any, how: How) -> None:
    """In either version's words; without them it is the last token's. A body may say so, too."""
    made = frontend(tmp_path, pooling, STEPS)
    (request,) = made.embedding(EmbeddingRequest(input="abc", pooling=how)).requests

    assert (request.prompt, request.max_tokens, request.embed) == ((65, 66, 67), 1, True)
    assert made.pooling == Pooling(how)


@pytest.mark.parametrize("asked", ["last", "mean", "cls"])
def test_a_setting_holds_over_the_files(tmp_path: Path, asked: How) -> None:
    """Whatever they say of pooling; a step that is not there is none all the same."""
    made = frontend(tmp_path, {"pooling_mode": "weightedmean"}, STEPS, asked)
    dense = frontend(tmp_path / "dense", None, [*STEPS, "Dense"], asked)

    assert made.pooling == Pooling(asked)
    assert "step Dense" in (dense.pooling.unsupported or "")


def test_another_way_than_the_engines_is_refused(tmp_path: Path) -> None:
    made = frontend(tmp_path, {"pooling_mode": "mean"})

    with pytest.raises(InvalidRequest, match="pooling: tiny pools by mean, found last"):
        made.embedding(EmbeddingRequest(input="abc", pooling="last"))


@pytest.mark.parametrize(
    ("pooling", "steps", "words"),
    [
        ({**SWITCHES, "pooling_mode_max_tokens": True}, STEPS, "pools by max, only lasttoken"),
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
