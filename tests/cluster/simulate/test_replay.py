"""Whole runs: the production policies on simulated engines, as the command shows them."""

import json
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raylax.cluster.cli.commands import app
from raylax.cluster.errors import UserError
from raylax.cluster.simulate.arguments import study_of
from raylax.cluster.simulate.profile import ASSUMED
from raylax.cluster.simulate.replay import Outcome, RunSettings, replay, throughput
from raylax.cluster.simulate.study import capacity, run, run_all, runs_of
from raylax.cluster.simulate.trace import BLOCK, Arrival
from raylax.cluster.supervision.processes import descendants, running
from raylax.router.policies import POLICIES
from tests.support.cluster_serving import RAYLAX

GPU = ASSUMED["gpu"]
ASKED = {
    "policy": "random", "load": "80", "routers": "2", "replicas": 2, "requests": 50,
    "arrivals": "compressed", "report_delay_ms": 5.0, "profile": "gpu", "seed": 0,
}  # fmt: skip


def conversations(people: int, turns: int, rate: float, seed: int = 0) -> list[Arrival]:
    """Prompts that begin with all that was said before, of people who take turns."""
    rng, at, said, rows = random.Random(seed), 0.0, [2] * people, []
    for _ in range(people * turns):
        at += rng.expovariate(rate)
        person = rng.randrange(people)
        said[person] += rng.randrange(1, 4)
        names = tuple(person * 10_000 + block for block in range(said[person]))
        rows.append(Arrival(at, said[person] * BLOCK + 99, rng.randrange(5, 100), names))
    return rows


TRACE = conversations(people=40, turns=12, rate=25.0)


def outcome(policy: str, routers: int = 1, seed: int = 0, delay_s: float = 0.02) -> Outcome:
    return replay(TRACE, RunSettings(policy, routers, 4, delay_s, GPU, seed))


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_brings_every_request_to_its_end(policy: str) -> None:
    """`replay` checks that, and that nothing is left over in an engine."""
    assert outcome(policy, routers=3).requests == 456  # without the first 5 %


def test_a_run_can_be_repeated() -> None:
    """The seed decides it, to the last bit."""
    assert outcome("expected-latency", 4) == outcome("expected-latency", 4)
    assert outcome("expected-latency", 4) != outcome("expected-latency", 4, seed=1)


@pytest.mark.parametrize("routers", [1, 4])
def test_the_default_is_best_where_prefixes_are_shared(routers: int) -> None:
    """In mean and p99 time to the first token, against those that know no prefixes."""
    ours = outcome("expected-latency", routers)
    for policy in ("least-tokens", "power-of-two", "round-robin", "random"):
        theirs = outcome(policy, routers)

        assert ours.ttft_mean < 0.9 * theirs.ttft_mean
        assert ours.ttft_p99 < theirs.ttft_p99
        assert ours.cached > theirs.cached


def test_late_reports_cost_something() -> None:
    """So it is seen that routers do not know what they cannot know yet."""
    assert (
        outcome("expected-latency", 4).ttft_mean
        < 0.95 * outcome("expected-latency", 4, delay_s=0.5).ttft_mean
    )


def test_more_workers_complete_more() -> None:
    """Prefixes aside, twice as many do twice as much."""
    plain = [row._replace(names=()) for row in TRACE]
    one, two = throughput(plain, 1, GPU), throughput(plain, 2, GPU)

    assert two == pytest.approx(2 * one, rel=0.15)


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.jsonl"
    rows = [
        {"timestamp": row.at * 1000, "input_length": row.prompt, "output_length": row.answer,
         "hash_ids": [*row.names, -1]}
        for row in TRACE[:100]
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_the_command_shows_a_row_for_every_run(trace: str) -> None:
    """Side by side with its first policy."""
    arguments = ["replay", trace, "--policy", "expected-latency,random", "--load", "50,90"]
    shown = CliRunner().invoke(app, [*arguments, "--routers", "1,2", "--replicas", "2"])
    rows = [line.split() for line in shown.stdout.splitlines()[1:]]
    said = [line.split("] ")[1] for line in shown.stderr.splitlines()]

    assert shown.exit_code == 0
    assert said[:2] == ["measuring what 100 % load is", "replaying"]
    assert said[2:] == [f"{number} of 8 runs" for number in range(1, 9)]
    assert {len(line) for line in shown.stdout.splitlines()} == {80}
    assert [(row[0], row[2], row[3]) for row in rows] == [
        (load, routers, policy)
        for load in ("50", "90")
        for routers in ("1", "2")
        for policy in ("expected-latency", "random")
    ]
    assert [row[-1] for row in rows[::2]] == ["1.00"] * 4


def test_several_processes_change_no_bit(trace: str) -> None:
    """What they say is what one process says, and in the order asked for."""
    study = study_of(Path(trace), **{**ASKED, "policy": "all"})  # type: ignore[arg-type]
    rate = capacity(study)

    assert list(run_all(study, rate)) == [(one, run(study, rate, one)) for one in runs_of(study)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whoever_stops_it_leaves_nothing_running(trace: str, number: signal.Signals) -> None:
    """At once, though most runs are still to come; the first row was not kept back for them."""
    command = [RAYLAX, "replay", trace, "--replicas", "2", "--requests", "500", "--load"]
    loads = ",".join(str(load) for load in range(1, 5000))
    with subprocess.Popen(
        [*command, loads, "--policy", "random"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as running_replay:  # fmt: skip
        assert running_replay.stdout is not None and running_replay.stderr is not None
        heads, row = running_replay.stdout.readline(), running_replay.stdout.readline()
        children = descendants(running_replay.pid)
        begun = time.monotonic()
        running_replay.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            running_replay.wait(timeout=5)
        running_replay.kill()
        while running(children) and time.monotonic() < begun + 5:
            time.sleep(0.01)

        assert running_replay.wait() in (130, -number)
        assert heads.split()[:2] == ["load", "routers"]
        assert row.split()[0] == "1"
        assert len(children) >= 2
        assert running(children) == []
        assert "Traceback" not in running_replay.stderr.read()


def test_for_programs_there_is_json(trace: str) -> None:
    arguments = ["replay", trace, "--policy", "random", "--load", "80", "--replicas", "2", "--json"]
    shown = CliRunner().invoke(app, arguments)
    (row,) = json.loads(shown.stdout)

    assert (row["policy"], row["load"], row["routers"]) == ("random", 80.0, 4)
    assert 0 < row["ttft_mean"] <= row["ttft_p99"]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("policy", "magic", "--policy must be all, or some of consistent-hash, .*, found magic"),
        ("load", "nan", "--load must be from 0.01 to 100000, found nan"),
        ("load", "80,1e400", "--load must be from 0.01 to 100000, found 80,1e400"),
        ("load", "1e-300", "--load must be from 0.01 to 100000, found 1e-300"),
        ("report_delay_ms", float("nan"), "--report-delay-ms must be at most 100000, found nan"),
        ("load", "80,x", "--load must be numbers with commas between, found 80,x"),
        ("routers", "0", "--routers must be above 0, found 0"),
        ("arrivals", "calm", "--arrivals must be one of superposed, compressed, found calm"),
        ("report_delay_ms", -1.0, "--report-delay-ms must not be negative, found -1"),
    ],
)
def test_a_mistake_is_named(option: str, value: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        study_of(Path("trace"), **{**ASKED, option: value})  # type: ignore[arg-type]
