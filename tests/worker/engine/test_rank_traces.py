"""What ranks in other processes have recorded, on their leader's clock."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from raylax.proto.event_trace import ProcessTrace, own_clock
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.comm.errors import CommAborted
from raylax.worker.engine.rank_traces import ROUNDS, clock_offsets, traces_of_others
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.engine.trace import TraceRecorder
from raylax.worker.errors import EngineNotReady, RankLost
from raylax.worker.ranks import debug
from raylax.worker.ranks.rank import Rank
from raylax.worker.ranks.startup import Spawner
from tests.support.engines import TWO, Elsewhere, running_engine
from tests.support.traces import checked, named

BEHIND_S = 1000.0


@pytest.mark.parametrize("spawner", [None, Elsewhere()])
def test_each_rank_is_a_process_of_the_trace(checkpoint: Path, spawner: Spawner | None) -> None:
    """By shared memory and by TCP: it runs the same steps at the same time, and meets the others
    twice a layer and once behind them. After the engine's end its own process is left."""
    trace = TraceRecorder("worker w")
    with running_engine(checkpoint, TWO, spawner=spawner, trace=trace) as (engine, answers):
        engine.add_request(Request("r", tuple(range(10, 30)), 4, Sampling(temperature=0.0)))
        answers.wait_for("r")
        file = checked(trace.dump_json())
        layers = engine._slot.loaded().executor.rank.model.spec.layers
    first, second = (one["pid"] for one in file["metadata"]["processes"])
    rank_0, rank_1 = (
        [e for e in named(file, "run") if (e["pid"], e["tid"]) == at]
        for at in ((first, 2), (second, 1))
    )
    lone = checked(trace.dump_json())

    assert [e["args"]["name"].split(" on ")[0] for e in named(file, "process_name")] == [
        "worker w", "worker w, rank 1",
    ]  # fmt: skip
    assert {one["args"]["meetings"] for one in rank_0} == {2 * layers + 1}
    for ours, theirs in zip(rank_0, rank_1, strict=True):
        for one in (ours, theirs):
            assert 0 < one["args"].pop("meeting_us") < one["dur"]
        assert ours["args"] == theirs["args"]
        assert theirs["ts"] < ours["ts"] + ours["dur"] and ours["ts"] < theirs["ts"] + theirs["dur"]
    assert {one["clock_error_us"] for one in file["metadata"]["processes"]} == {0}
    assert [one["name"] for one in lone["metadata"]["processes"]] == ["worker w"]


class Ranks:
    """Rank 1 has a clock of its own, which is behind; answers take longer and longer but once."""

    def __init__(self) -> None:
        self.now, self.asked = 5.0, 0

    def clock(self) -> float:
        return self.now

    def call(self, name: str) -> Sequence[Any]:
        if name == "raylax.debug.traced":
            return [None, ProcessTrace("rank 1", 8, "h", "other").as_bytes(), OSError()]
        self.asked += 1
        way = 0.001 if self.asked == 3 else 0.1 * self.asked
        self.now += way
        said = self.now - BEHIND_S
        self.now += way
        return [self.now, said, said]


def test_the_quickest_answer_tells_how_far_a_clock_is() -> None:
    """And how wrong that may be: half the time it took."""
    ranks = Ranks()
    (offset, error), same = clock_offsets(ranks.call, ranks.clock)

    assert ranks.asked == ROUNDS
    assert (offset, error) == same
    assert math.isclose(offset, BEHIND_S, abs_tol=error)
    assert math.isclose(error, 0.001, rel_tol=1e-6)


def test_a_rank_of_another_machine_is_moved() -> None:
    """One that has failed to answer is left out."""
    (moved,) = traces_of_others(Ranks().call, "worker w")

    assert moved.name == "worker w, rank 1"
    assert moved.offset_s != 0.0 < moved.error_s
    assert moved.clock != own_clock()


class Broken(ThreadedEngine):
    """Its other rank cannot be asked."""

    error: Exception
    shards = [{"rank": 1}]

    def debug_call_func_on_all_worker(self, name: str, args: Sequence[Any] = ()) -> list[Any]:
        raise self.error


@pytest.mark.parametrize(
    "error", [EngineNotReady("ended"), RankLost("rank 1"), CommAborted("rank 1"), BrokenPipeError()]
)
def test_a_rank_that_cannot_be_asked_is_missed(error: Exception) -> None:
    """What the leader has recorded is told all the same."""
    engine, trace = Broken(), TraceRecorder("worker w")
    engine.error = error
    engine.init_threaded_engine("cpu", lambda deltas, load: None, trace)

    assert [one.name for one in trace.processes()] == ["worker w"]


@debug.register("test.otherwise")
def name_the_clock_otherwise(rank: Rank) -> None:
    """As on another machine: the rank's clock is another one."""
    if rank.index:
        own_clock.cache_clear()
        import raylax.proto.event_trace as module

        module.CLOCK = Path("/nowhere")


def test_ranks_of_another_clock_are_measured(checkpoint: Path) -> None:
    """It is the same one in truth: what was measured is nothing, as far as it may be wrong."""
    trace = TraceRecorder("worker w")
    with running_engine(checkpoint, TWO, trace=trace) as (engine, answers):
        engine.debug_call_func_on_all_worker("test.otherwise")
        engine.add_request(Request("r", tuple(range(10, 30)), 4, Sampling(temperature=0.0)))
        answers.wait_for("r")
        file = checked(trace.dump_json())
    _, rank = file["metadata"]["processes"]

    assert 0 < rank["clock_error_us"] < 1e6
    assert abs(rank["clock_offset_us"]) <= rank["clock_error_us"]
