"""An engine of several ranks, without Ray: its shards are child processes."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raylax import MLCEngine
from raylax.kernels.errors import CompileError
from raylax.proto.vocabulary import Fault, Finish, Sampling
from raylax.worker.config import EngineConfig
from raylax.worker.engine.threaded_engine import ThreadedEngine
from raylax.worker.errors import EngineStartError
from raylax.worker.ranks import debug
from raylax.worker.ranks.child_processes import ChildProcess, ChildProcesses
from raylax.worker.ranks.control_channel import Kind
from raylax.worker.ranks.diagnosis import TIMEOUT_S
from raylax.worker.ranks.leader import RankGroup
from raylax.worker.ranks.rank import Rank
from raylax.worker.ranks.shard import Invitation
from raylax.worker.ranks.startup import Spawner
from raylax.worker.ranks.watchdog import PING_S
from tests.support.engines import (
    ONE,
    TWO,
    Answers,
    Elsewhere,
    request,
    running_engine,
    until,
)

PROMPT = list(range(10, 50))
ENOUGH_S = 10.0


@debug.register("test.spoil")
def spoil(rank: Rank, whose: int) -> None:
    """Write to the memory of one rank's weights."""
    if rank.index == whose:
        held, _ = rank.model.weights_and_copies()["w_down"]
        held.reshape(-1)[0] += 1


def pids(engine: ThreadedEngine) -> list[int]:
    return [shard["pid"] for shard in engine.shards]


def gone(pid: int) -> bool:
    """Ended, perhaps not yet collected by whoever inherited it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def tokens_of(
    config: EngineConfig, checkpoint: Path, spawner: Spawner | None = None
) -> list[list[int]]:
    """What a few requests at once come to, greedy and drawn."""
    with running_engine(checkpoint, config, spawner=spawner) as (engine, answers):
        for i in range(5):
            drawn = Sampling(temperature=0.0 if i % 2 else 1.0, seed=i)
            engine.add_request(request(f"r{i}", PROMPT[i:], 20, drawn))
        names = [f"r{i}" for i in range(5)]
        answers.wait_for(*names)
        return [answers.tokens(name) for name in names]


@pytest.fixture(scope="module")
def alone(uneven: Path) -> list[list[int]]:
    return tokens_of(ONE, uneven)


@pytest.mark.parametrize(("shards", "stages"), [(2, 1), (4, 1), (1, 2), (2, 2)])
def test_several_ranks_answer_as_one_does(
    uneven: Path, alone: list[list[int]], shards: int, stages: int
) -> None:
    """Token for token: in f32 their logits differ by less than draws can tell here."""
    config = replace(ONE, tensor_parallel_shards=shards, pipeline_parallel_stages=stages)
    assert tokens_of(config, uneven) == alone


@pytest.mark.parametrize(("shards", "stages"), [(2, 1), (2, 2)])
def test_ranks_on_several_hosts_answer_as_one_does(
    uneven: Path, alone: list[list[int]], shards: int, stages: int
) -> None:
    config = replace(ONE, tensor_parallel_shards=shards, pipeline_parallel_stages=stages)

    assert tokens_of(config, uneven, Elsewhere()) == alone


def test_every_rank_answers_a_debug_call(uneven: Path) -> None:
    """In order of rank, each from a process of its own; none is left afterwards."""
    with running_engine(uneven, TWO) as (engine, answers):
        engine.add_request(request("r", PROMPT, 4))
        answers.wait_for("r")
        ranks = engine.debug_call_func_on_all_worker("raylax.debug.rank")
        plans = engine.debug_call_func_on_all_worker("raylax.debug.last_plan")
        children = pids(engine)

    assert [(one["rank"], one["world_size"], one["shard"]) for one in ranks] == [
        (0, 2, 0),
        (1, 2, 1),
    ]
    assert [one["pid"] for one in ranks] == [os.getpid(), *children]
    assert plans[0] == plans[1] and plans[0]["step"] == 4
    assert all(map(gone, children))


def test_a_call_of_what_is_not_there_harms_nobody(uneven: Path) -> None:
    """No rank waits for it; the next step runs on all of them."""
    with running_engine(uneven, TWO) as (engine, answers):
        with pytest.raises(LookupError, match="no debug function 'x'"):
            engine.debug_call_func_on_all_worker("x")
        engine.add_request(request("r", PROMPT, 4))
        answers.wait_for("r")

        assert answers.ends("r") == [Finish.LENGTH]


@pytest.mark.parametrize(("shards", "stages"), [(2, 1), (1, 2)])
def test_a_rank_that_had_nothing_to_do_is_not_blamed(
    uneven: Path, shards: int, stages: int
) -> None:
    """It is behind from the moment that a step begins, not since it last moved."""
    config = replace(ONE, tensor_parallel_shards=shards, pipeline_parallel_stages=stages)
    with running_engine(uneven, config) as (engine, answers):
        idle_since = time.monotonic()
        until(lambda: time.monotonic() - idle_since > TIMEOUT_S + 2 * PING_S)
        for i in range(4):
            engine.add_request(request(f"r{i}", PROMPT, 80))
        answers.wait_for("r0", "r1", "r2", "r3")

        assert [answers.ends(f"r{i}") for i in range(4)] == [[Finish.LENGTH]] * 4


@pytest.mark.parametrize(("shards", "stages"), [(2, 1), (1, 2)])
def test_a_rank_that_never_begins_a_step_is_named(uneven: Path, shards: int, stages: int) -> None:
    """Though it answers all the while: here it waits for a debug call that nobody makes."""
    config = replace(ONE, tensor_parallel_shards=shards, pipeline_parallel_stages=stages)
    with running_engine(uneven, config) as (engine, answers):
        executor = engine._slot.loaded().executor
        assert isinstance(executor, RankGroup)
        executor.members[0].channel.send(Kind.CALL)
        engine.add_request(request("r", PROMPT, 4))
        answers.wait_for("r")

        words = r"rank 1 .* stopped .*step \d.*; the others have waited [2-9]"
        assert re.search(words, engine.fault or ""), engine.fault


def test_the_rank_whose_weights_were_spoilt_is_found(uneven: Path) -> None:
    """By the checksum of the memory that it computes with; the others' agree with the store."""
    with running_engine(uneven, TWO) as (engine, _):
        engine.debug_call_func_on_all_worker("test.spoil", [1])
        sums = engine.debug_call_func_on_all_worker("raylax.debug.weight_checksums")

    wrong = [
        (rank, name)
        for rank, weights in enumerate(sums)
        for name, both in weights.items()
        if both["memory"] != both["store"]
    ]
    assert wrong == [(1, "w_down")]


def test_a_python_engine_takes_the_degree_from_its_config(uneven: Path) -> None:
    """And its children end with it."""
    with MLCEngine(str(uneven), engine_config=TWO) as engine:
        assert engine.engine_config.tensor_parallel_shards == 2
        ranks = engine.debug_call_func_on_all_worker("raylax.debug.rank")
        engine.completions.create(prompt="abc", max_tokens=3)

    assert [one["rank"] for one in ranks] == [0, 1]
    assert gone(ranks[1]["pid"])


@contextmanager
def busy_group(
    checkpoint: Path, config: EngineConfig, spawner: Spawner | None = None
) -> Iterator[tuple[ThreadedEngine, Answers, list[int]]]:
    with running_engine(checkpoint, config, spawner=spawner) as (engine, answers):
        for i in range(4):
            engine.add_request(request(f"r{i}", PROMPT, 80))
        answers.wait_for_tokens("r3", 3)
        yield engine, answers, pids(engine)


@pytest.mark.parametrize(
    ("stages", "spawner"), [(1, ChildProcesses), (2, ChildProcesses), (1, Elsewhere)], ids=str
)
@pytest.mark.parametrize(
    ("blow", "words"),
    [
        (signal.SIGKILL, r"has died, (in|after) step [1-9]"),
        (signal.SIGSTOP, r"(stopped|has given no sign).*step"),
    ],
    ids=["killed", "stopped"],
)
def test_a_lost_rank_is_named_and_every_request_ends_at_once(
    uneven: Path,
    blow: signal.Signals,
    words: str,
    stages: int,
    spawner: Callable[[], Spawner],
) -> None:
    """With an error that another worker may be asked after. No process is left."""
    config = replace(TWO, pipeline_parallel_stages=stages)
    with busy_group(uneven, config, spawner()) as (engine, answers, children):
        begun = time.monotonic()
        os.kill(children[0], blow)
        answers.wait_for("r0", "r1", "r2", "r3")
        took = time.monotonic() - begun
        ends = [answers.deltas[f"r{i}"][-1] for i in range(4)]
        until(lambda: all(map(gone, children)))

        assert engine.fault is not None
    for end in ends:
        assert (end.finish, end.fault) == (Finish.ERROR, Fault.UNAVAILABLE)
        assert re.search(rf"rank 1 \(pid {children[0]} on 127\S+\) {words}", end.error or "")
    assert took < ENOUGH_S


def test_a_rank_that_dies_while_nothing_runs_is_noticed(uneven: Path) -> None:
    """By the engine's health, before any request finds out."""
    with running_engine(uneven, TWO) as (engine, _):
        (child,) = pids(engine)
        os.kill(child, signal.SIGKILL)
        until(lambda: engine.fault is not None)

        assert "rank 1" in str(engine.fault) and "has died, after step 0" in str(engine.fault)


def test_shards_end_when_their_leader_is_killed(uneven: Path) -> None:
    """Nothing is left running, and nothing in shared memory's directory."""
    code = (
        "import sys, time\n"
        "from raylax import EngineConfig, MLCEngine\n"
        "engine = MLCEngine(sys.argv[1], engine_config=EngineConfig.from_json(sys.argv[2]))\n"
        "rank = engine.debug_call_func_on_all_worker('raylax.debug.rank')[1]\n"
        "print(rank['pid'], flush=True)\n"
        "time.sleep(600)\n"
    )
    before = set(os.listdir("/dev/shm"))
    leader = subprocess.Popen(
        [sys.executable, "-c", code, str(uneven), TWO.asjson()],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert leader.stdout is not None
    with leader:
        child = int(leader.stdout.readline())
        leader.kill()
    until(lambda: gone(child))

    assert set(os.listdir("/dev/shm")) <= before


def test_a_failed_start_names_the_rank(uneven: Path, monkeypatch: Any) -> None:
    """Here its process cannot start at all."""
    monkeypatch.setattr("sys.executable", "/bin/false")
    with (
        pytest.raises(EngineStartError, match="rank 1 ended while it started"),
        running_engine(uneven, TWO),
    ):
        pass


def test_a_model_that_is_refused_once_it_is_loaded_leaves_no_rank(
    uneven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here its library is not there: that is known when all ranks have come."""
    children: list[ChildProcess] = []
    spawn = ChildProcesses.spawn

    def noted(self: ChildProcesses, invitation: Invitation) -> ChildProcess:
        children.append(spawn(self, invitation))
        return children[-1]

    monkeypatch.setattr(ChildProcesses, "spawn", noted)
    with (
        pytest.raises(CompileError, match="there is no library, /lib/step.so is"),
        running_engine(uneven, replace(TWO, model_lib="/lib/step.so")),
    ):
        pass

    assert [child.alive for child in children] == [False]


@pytest.mark.parametrize("seed", range(3))
def test_any_rank_may_die_at_any_step(uneven: Path, seed: int) -> None:
    """Of two stages of two shards. Each request ends once, and the tokens before it are those of an
    undisturbed run."""
    rng = random.Random(seed)
    config = replace(TWO, pipeline_parallel_stages=2)
    with running_engine(uneven, config) as (engine, answers):
        for i in range(3):
            engine.add_request(request(f"r{i}", PROMPT, 80))
        answers.wait_for_tokens("r0", rng.randrange(1, 60))
        os.kill(rng.choice(pids(engine)), signal.SIGKILL)
        answers.wait_for("r0", "r1", "r2")
        children = pids(engine)
    with running_engine(uneven, ONE) as (undisturbed, whole):
        undisturbed.add_request(request("r", PROMPT, 80))
        whole.wait_for("r")

    assert all(map(gone, children))
    for i in range(3):
        assert answers.ends(f"r{i}") == [Finish.ERROR]
        tokens = answers.tokens(f"r{i}")
        assert tokens == whole.tokens("r")[: len(tokens)]
