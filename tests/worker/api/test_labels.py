"""An engine of a model whose head is for labels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax import EngineConfig
from raylax.proto.errors import InvalidRequest
from raylax.proto.vocabulary import Finish, Request
from tests.support.engines import running_engine
from tests.support.family_checkpoints import write_family
from tests.support.paths import GOLDENS

CONFIG = EngineConfig(max_num_sequence=4, max_single_sequence_length=128, threads=1)


@pytest.mark.parametrize("family", ["llama-reward", "mistral-labels"])
@pytest.mark.parametrize(
    "more",
    [{}, {"tensor_parallel_shards": 2}, {"pipeline_parallel_stages": 2}, {"prefill_chunk_size": 7}],
    ids=["alone", "shards", "stages", "chunks"],
)
def test_logits_are_those_of_transformers(
    tmp_path: Path, family: str, more: dict[str, Any]
) -> None:
    """Behind the last token, whichever ranks compute them: of one label one of them alone."""
    with np.load(GOLDENS / "families.npz") as file:
        ids, want = file[f"{family}/ids"].tolist(), file[f"{family}/logits"]
    every = tuple(range(want.shape[1]))
    path = write_family(tmp_path / family, family)
    with running_engine(path, replace(CONFIG, **more)) as (engine, answers):
        for end in (60, 70):
            engine.add_request(Request(f"{end}", tuple(ids[:end]), 1, embed=True, logits_of=every))
        answers.wait_for("60", "70")

    got = np.array([answers.deltas[name][-1].embedding for name in ("60", "70")])
    assert np.abs(got - want[[-11, -1]]).max() < 1e-4 * np.abs(want).max()
    assert answers.ends("70") == [Finish.STOP]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (Request("a", (5, 6), 3), "a head for labels of texts and writes none"),
        (Request("a", (5, 6), 1, embed=True, logits_of=(1,)), "logits_of: token id 1 is outside"),
        (Request("a", (5, 99), 1, embed=True, logits_of=(0,)), "prompt: token id 99 is outside"),
    ],
)
def test_what_it_cannot_do_is_refused(tmp_path: Path, request_: Request, words: str) -> None:
    path = write_family(tmp_path / "made", "llama-reward")
    with (
        running_engine(path, CONFIG) as (engine, _),
        pytest.raises(InvalidRequest, match=words),
    ):
        engine.add_request(request_)
