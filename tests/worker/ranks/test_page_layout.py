"""Pages between engines of any number of ranks, without Ray: the shards are child processes."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raylax.proto.pages import names_of
from raylax.proto.vocabulary import Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import EngineNotReady
from raylax.worker.ranks.startup import Spawner
from tests.support.engines import (
    ONE,
    TWO,
    Answers,
    Elsewhere,
    request,
    running_engine,
)

PROMPT = list(range(10, 84))
NAMES = list(names_of(PROMPT))
FULL = 64
"""Tokens of the prompt in full pages."""


class Asked:
    """An engine that is asked the same again and again."""

    def __init__(self, engine: ThreadedEngine, answers: Answers) -> None:
        self.engine, self._answers = engine, answers
        self._times = 0

    def computed(self) -> tuple[list[int], list[bytes]]:
        """The answer without any pages, and the contents of those that it left."""
        self.engine.reset()
        tokens = self._answer(cached=0)
        return tokens, self.engine.read_pages(NAMES)

    def continued(self, contents: list[bytes]) -> list[int]:
        """The answer that goes on from these, which are put there while another sequence runs."""
        self.engine.reset()
        self.engine.add_request(request(f"other{self._times}", PROMPT[1:], 50))
        assert self.engine.write_pages(NAMES, contents) == len(NAMES)
        assert self.engine.read_pages(NAMES) == contents
        return self._answer(cached=FULL)

    def _answer(self, cached: int) -> list[int]:
        self._times += 1
        id = f"r{self._times}"
        drawn = Sampling(temperature=1.0, seed=3)
        self.engine.add_request(request(id, PROMPT, 12, drawn))
        self._answers.wait_for(id)
        found = [one.cached_tokens for one in self._answers.deltas[id] if one.token_ids]
        assert found[0] == cached
        return self._answers.tokens(id)


@contextmanager
def asked(
    checkpoint: Path, config: EngineConfig, spawner: Spawner | None = None
) -> Iterator[Asked]:
    with running_engine(checkpoint, config, spawner=spawner) as (engine, answers):
        yield Asked(engine, answers)


@pytest.fixture(scope="module")
def alone(uneven: Path) -> Iterator[Asked]:
    """One rank."""
    with asked(uneven, ONE) as one:
        yield one


@pytest.mark.parametrize(("shards", "stages"), [(2, 1), (4, 1), (1, 2), (2, 2)])
def test_pages_go_on_in_an_engine_of_another_number_of_ranks(
    uneven: Path, alone: Asked, shards: int, stages: int
) -> None:
    """From one rank to several, back, and among as many: the answer is as if it was computed. Four
    shards share two KV heads, and two stages three layers."""
    tokens, contents = alone.computed()
    config = replace(ONE, tensor_parallel_shards=shards, pipeline_parallel_stages=stages)
    with asked(uneven, config) as several:
        theirs, parts = several.computed()
        answers = [several.continued(contents), several.continued(parts), alone.continued(parts)]

    assert [theirs, *answers] == [tokens] * 4
    if shards == 1:
        assert parts == contents
    one, other = (np.frombuffer(b"".join(pages), np.float32) for pages in (contents, parts))
    assert np.allclose(one, other, atol=1e-4)


def test_parts_of_pages_go_by_tcp_as_well(uneven: Path, alone: Asked) -> None:
    """Between ranks that share no memory."""
    tokens, contents = alone.computed()
    config = replace(TWO, pipeline_parallel_stages=2)
    with asked(uneven, config, Elsewhere()) as several:
        assert several.continued(contents) == tokens


def test_scales_go_with_the_heads_that_they_are_of(checkpoint: Path) -> None:
    """Pages of 8 bits have them behind the keys, and the values, of each head."""
    one, two = (replace(config, kv_dtype="int8") for config in (ONE, TWO))
    with asked(checkpoint, one) as alone, asked(checkpoint, two) as several:
        tokens, contents = alone.computed()
        theirs, parts = several.computed()

        assert several.continued(contents) == several.continued(parts) == theirs
        assert alone.continued(parts) == tokens


@pytest.mark.parametrize("config", [ONE, TWO], ids=["one", "two"])
def test_what_is_no_page_of_this_model_is_not_kept(uneven: Path, config: EngineConfig) -> None:
    """Its pages are free again (law 3), and the engine goes on."""
    with asked(uneven, config) as one:
        tokens, contents = one.computed()
        one.engine.reset()
        with pytest.raises(ValueError, match=r"has \d+ bytes, found 3"):
            one.engine.write_pages(NAMES, [*contents[:2], b"abc"])
        one.engine.reset()

        assert one.engine.load().pages_used == 0
        assert one.continued(contents) == tokens


def test_pages_that_come_take_the_place_of_none_that_are_here(uneven: Path) -> None:
    """As many of them are kept as pages are free."""
    with asked(uneven, replace(ONE, max_total_sequence_length=160)) as one:
        _, contents = one.computed()
        others = list(names_of(range(112)))
        free = one.engine.load().pages_free

        assert 0 < free < len(others)
        assert one.engine.write_pages(others, contents[:1] * len(others)) == free
        assert one.engine.read_pages(NAMES) == contents


def test_nobody_waits_for_the_pages_of_a_lost_rank(uneven: Path) -> None:
    """Who asked for them is told which rank it was."""
    with asked(uneven, TWO) as two:
        two.computed()
        os.kill(two.engine.shards[0]["pid"], signal.SIGSTOP)
        with pytest.raises(EngineNotReady, match=r"rank 1 \(pid .* has given no sign"):
            two.engine.read_pages(NAMES)

        assert two.engine.fault is not None
