"""A request that has no answer ends alone: what it left behind is nobody's."""

from dataclasses import replace
from pathlib import Path

import pytest

from raylax.proto.vocabulary import Fault
from raylax.worker.config import EngineConfig
from tests.support.engines import ONE, TWO, request, running_engine
from tests.support.poisonous import POISON, write_poisonous

GOOD, BAD = [5, 6, 7], [5, 6, POISON, 8, 9, 10, 11]


@pytest.mark.parametrize(
    "config",
    [*(replace(ONE, kv_dtype=name) for name in ("f32", "bf16", "int8")), TWO],
    ids=["f32", "bf16", "int8", "two shards"],
)
def test_pages_of_one_without_an_answer_are_as_good_as_new(
    tmp_path: Path, config: EngineConfig
) -> None:
    """Its keys and values are NaN, and whoever comes next has its pages."""
    with running_engine(write_poisonous(tmp_path / "model"), config) as (engine, answers):
        for turn in range(3):
            engine.add_request(request(f"good {turn}", GOOD))
            answers.wait_for(f"good {turn}")
            engine.add_request(request(f"bad {turn}", BAD))
            answers.wait_for(f"bad {turn}")

    for turn in range(3):
        assert answers.deltas[f"bad {turn}"][-1].fault is Fault.REQUEST
        assert answers.tokens(f"good {turn}") == answers.tokens("good 0")
    assert len(answers.tokens("good 0")) == 12
