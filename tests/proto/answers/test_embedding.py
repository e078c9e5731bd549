"""Vectors without a model: their length, and whose settings we can follow."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.answers.embedding import Vector, normalised
from raylax.proto.errors import InvalidRequest, WorkerUnavailable
from raylax.proto.frontend import Frontend
from raylax.proto.openai.embeddings import EmbeddingRequest
from raylax.proto.vocabulary import Delta, Finish
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
    return Frontend.load(checkpoint, "tiny", 256, random.Random(1))


def test_a_vector_has_length_one_whatever_its_order() -> None:
    """Its sum of squares is rounded once, so that no order of adding can show."""
    values = [float.fromhex("0x1.2p-3"), 3.0, -1e-20, 1e10, 0.1]
    turned = normalised(values[::-1])[::-1]

    assert normalised(values) == turned
    assert normalised([3.0, 4.0]) == pytest.approx((0.6, 0.8))
    assert normalised([0.0, 0.0]) == (0.0, 0.0)


def test_a_vector_ends_once() -> None:
    """Its only event is its end."""
    vector = Vector(3)
    began = vector.feed(Delta("a", began=True))
    event = vector.feed(Delta("a", finish=Finish.STOP, embedding=(0.6, 0.8), cached_tokens=16))
    again = vector.feed(Delta("a", finish=Finish.ABORT))

    assert (began, again) == (None, None)
    assert event is not None and (event.choice, event.finish_reason) == (3, "stop")
    assert (vector.values, vector.cached_tokens) == ((0.6, 0.8), 16)


def test_a_vector_that_never_came_is_an_error(tmp_path: Path) -> None:
    call = frontend(tmp_path).embedding(EmbeddingRequest(input=["a", "b"]))
    for request in call.requests:
        call.feed(Delta(request.id, finish=Finish.ABORT))

    with pytest.raises(WorkerUnavailable, match="input 0 ended with abort"):
        call.response()


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
