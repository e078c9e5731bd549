"""Functions that run on every rank, by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylax.worker.config import EngineConfig
from raylax.worker.ranks import debug
from raylax.worker.ranks.rank import Rank
from tests.support.engines import running_engine

CONFIG = EngineConfig(max_num_sequence=2, max_single_sequence_length=64, threads=1)


@debug.register("test.divide")
def divide(rank: Rank, by: int) -> float:
    return (rank.index + 1) / by


def test_the_result_of_every_rank(checkpoint: Path) -> None:
    """Or what it raised: one rank's failure is its own."""
    with running_engine(checkpoint, CONFIG) as (engine, _):
        assert engine.debug_call_func_on_all_worker("test.divide", [4]) == [0.25]
        (failure,) = engine.debug_call_func_on_all_worker("test.divide", [0])
        (wrong,) = engine.debug_call_func_on_all_worker("test.divide")

    assert isinstance(failure, ZeroDivisionError)
    assert isinstance(wrong, TypeError)


@debug.register("test.repeat")
def repeat(rank: Rank, *said: Any) -> tuple[Any, ...]:
    return said


def test_a_text_is_one_argument(checkpoint: Path) -> None:
    """As MLC-LLM has it."""
    with running_engine(checkpoint, CONFIG) as (engine, _):
        assert engine.debug_call_func_on_all_worker("test.repeat", "ab") == [("ab",)]
        assert engine.debug_call_func_on_all_worker("test.repeat", ["ab", 3]) == [("ab", 3)]
        assert engine.debug_call_func_on_all_worker("test.repeat") == [()]


def test_who_a_rank_is(checkpoint: Path) -> None:
    with running_engine(checkpoint, CONFIG) as (engine, _):
        (rank,) = engine.debug_call_func_on_all_worker("raylax.debug.rank")

    assert (rank["rank"], rank["world_size"], rank["device"], rank["vocab"]) == (0, 1, "cpu", 99)


def test_an_unknown_name_lists_what_there_is(checkpoint: Path) -> None:
    with (
        running_engine(checkpoint, CONFIG) as (engine, _),
        pytest.raises(LookupError, match="no debug function 'x'; there are .*raylax.debug.rank"),
    ):
        engine.debug_call_func_on_all_worker("x")


def test_registering_again_replaces() -> None:
    def second(rank: Any) -> str:
        return "second"

    debug.register("test.twice")(lambda rank: "first")
    debug.register("test.twice")(second)

    assert "test.twice" in debug.names()
    assert debug.call(None, "test.twice", []) == ["second"]  # type: ignore[arg-type]


@debug.register("test.unsendable")
def unsendable(rank: Rank) -> Any:
    return lambda: rank


def test_what_cannot_be_sent_loses_no_rank(checkpoint: Path) -> None:
    """Neither a result nor an argument: the next call is answered."""
    config = replace(CONFIG, tensor_parallel_shards=2)
    with running_engine(checkpoint, config) as (engine, _):
        results = engine.debug_call_func_on_all_worker("test.unsendable")
        with pytest.raises(TypeError, match="the arguments cannot be sent"):
            engine.debug_call_func_on_all_worker("test.divide", [lambda: 1])

        assert engine.debug_call_func_on_all_worker("test.divide", [2]) == [0.5, 1.0]
    assert isinstance(results[0], TypeError) and "function cannot be sent" in str(results[0])


def test_arguments_stay_as_they_are_where_there_is_one_rank(checkpoint: Path) -> None:
    """They go nowhere."""
    with running_engine(checkpoint, CONFIG) as (engine, _):
        assert engine.debug_call_func_on_all_worker("test.echo", [(made := object())]) == [made]


@debug.register("test.echo")
def echo(rank: Rank, value: Any) -> Any:
    return value
