"""One `raylax serve` of a worker with two ranks: what it answers, and what becomes of answers while
its ranks and processes are killed and stopped. Each one is whole all the same.

What is done about each process has tables in `tests/cluster/supervision/`; `bench/chaos.py
--cluster` strikes them all.
"""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from raylax.cluster.cli.main import main
from raylax.cluster.environment import entrance_of
from raylax.cluster.supervision.front_door import ask
from raylax.cluster.supervision.processes import arguments_of, running
from raylax.cluster.supervision.roles import VITAL, Role, name_of, role_of
from tests.support.cluster_resuming import ASK, Answer, whole
from tests.support.cluster_serving import READY, START_S, STOP_S, Serving, serving, until

pytestmark = pytest.mark.cluster
PATIENCE_S = 60.0
AGAIN_S = 120.0
"""For the loss of a rank to be found, the worker to be replaced, and its answers to be complete: 13
s with nothing beside it, and so long that a machine with much to do does not fail.
`bench/faults.py` measures it."""
COUNT: Any = {
    "messages": [{"role": "user", "content": "Count from 1 to 20"}],
    "temperature": 0,
    "max_tokens": 40,
}
LONG: Any = {**COUNT, "max_tokens": 1500, "ignore_eos": True}
"""More than a second of it, on any machine: its first event comes long before its last."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Serving]:
    with serving("--tensor-parallel-shards", "2", "--enable-debug") as made:
        made.wait_until_it_says(READY)
        yield made


@pytest.fixture
def client(cluster: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.url, timeout=PATIENCE_S) as made:
        yield made


def call_on_all(client: httpx.Client, name: str) -> httpx.Response:
    return client.post("/debug/call_func_on_all_worker", json={"name": name, "args": []})


def worker_of(client: httpx.Client) -> dict[str, Any]:
    """The only one that is ready and has said so lately."""
    workers = client.get("/cluster").json()["workers"]
    (worker,) = [
        one for one in workers if one["state"] == "ready" and running([one["pid"]]) == [one["pid"]]
    ]
    found: dict[str, Any] = worker
    return found


def test_two_ranks_answer_a_chat(client: httpx.Client) -> None:
    """What one rank's answer is, too: it is right."""
    answer = client.post("/v1/chat/completions", json=COUNT).json()

    assert answer["choices"][0]["message"]["content"].startswith("1, 2, 3, 4, 5, 6, 7, 8, 9, 10")


def test_every_rank_answers_a_debug_call(client: httpx.Client) -> None:
    """Each from its own process, on its own cores; they agree on the plan that they ran last."""
    client.post("/v1/chat/completions", json=COUNT)
    ranks = call_on_all(client, "raylax.debug.rank").json()["results"]
    plans = call_on_all(client, "raylax.debug.last_plan").json()["results"]
    worker = worker_of(client)
    (shard,) = worker["shards"]

    assert [(one["rank"], one["world_size"]) for one in ranks] == [(0, 2), (1, 2)]
    assert [one["pid"] for one in ranks] == [worker["pid"], shard["pid"]]
    assert plans[0] == plans[1] and plans[0]["step"] > 0
    assert not set(worker["cores"]) & set(shard["cores"])
    assert name_of(arguments_of(shard["pid"])) == f"shard-{worker['worker_id']}-1"


def test_a_debug_function_that_is_not_there_is_the_callers_mistake(client: httpx.Client) -> None:
    """And it harms no rank."""
    refused = call_on_all(client, "elsewhere")

    assert refused.status_code == 400
    assert "no debug function 'elsewhere'; there are" in refused.json()["error"]["message"]
    assert client.post("/v1/chat/completions", json=COUNT).status_code == 200


def test_status_has_a_line_for_each_rank(
    cluster: Serving,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    worker = worker_of(client)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["raylax", "status", cluster.url])
    with pytest.raises(SystemExit, match="0"):
        main()
    _, _, first, second, *_ = capsys.readouterr().out.splitlines()

    (shard,) = worker["shards"]
    assert first.split()[:2] == [worker["worker_id"], str(worker["pid"])]
    assert second.split() == ["rank", "1", str(shard["pid"]), "127.0.0.1"]


def stream(client: httpx.Client, first: Callable[[], object]) -> list[dict[str, Any]]:
    """The events of an answer. `first` is called when one has come, before the next is read."""
    events: list[dict[str, Any]] = []
    with client.stream("POST", "/v1/chat/completions", json={**LONG, "stream": True}) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                events.append(json.loads(line.removeprefix("data: ")))
                if len(events) == 1:
                    first()
    return events


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["choices"][0]["delta"].get("content") or "" for event in events)


@pytest.mark.parametrize(
    ("blow", "words"),
    [
        (signal.SIGKILL, "has died"),
        (signal.SIGSTOP, "(has given no sign for|stopped in step|has died)"),
    ],
    ids=["killed", "stopped"],
)
def test_a_worker_that_has_lost_a_rank_is_replaced(
    client: httpx.Client, blow: signal.Signals, words: str
) -> None:
    """Those who were being answered wait for the next one, and miss nothing; what happened to them
    is told afterwards, by the rank's name. A stopped one has died where supervision was first."""
    worker = worker_of(client)
    (shard,) = worker["shards"]
    want = client.post("/v1/chat/completions", json=LONG).json()["choices"]
    hit: list[float] = []

    def strike() -> None:
        os.kill(shard["pid"], blow)
        hit.append(time.monotonic())

    both_began = Barrier(2, strike)
    with ThreadPoolExecutor(3) as pool:
        posted = pool.submit(client.post, "/v1/chat/completions", json=LONG)
        streams = [
            pool.submit(stream, client, lambda: both_began.wait(PATIENCE_S)) for _ in range(2)
        ]
        events = [one.result() for one in streams]
        answered = posted.result().json()
    again_s = time.monotonic() - hit[0]
    timeline = client.get(f"/explain/{events[0][0]['id']}").json()
    loss = next(moment["detail"] for moment in timeline["moments"] if moment["name"] == "lost")

    assert [text_of(one) for one in events] == [want[0]["message"]["content"]] * 2
    assert answered["choices"] == want
    assert re.search(rf"rank 1 \(pid {shard['pid']} on .*\) {words}", loss)
    assert again_s < AGAIN_S, f"served again after {again_s:.1f} s"
    until(lambda: not running([worker["pid"], shard["pid"]]), PATIENCE_S)
    until(lambda: worker_of(client)["worker_id"] != worker["worker_id"], PATIENCE_S)


def pids_of(cluster: Serving, role: Role) -> set[int]:
    return {pid for pid in cluster.pids() if role_of(arguments_of(pid)) is role}


@pytest.mark.parametrize(
    ("role", "blow", "told"),
    [
        (Role.HAPROXY, signal.SIGKILL, ""),
        (Role.ZYGOTE, signal.SIGKILL, ""),
        (Role.ROUTER, signal.SIGSTOP, "was ended: it was stopped for 2 s; another one comes"),
        (Role.GCS, signal.SIGKILL, "starting once more: gcs_server (pid"),
    ],
)
def test_an_answer_is_whole_though_a_process_is_struck(
    cluster: Serving, client: httpx.Client, role: Role, blow: signal.Signals, told: str
) -> None:
    """The stricken one is replaced, or the cluster as a whole; it is said what was done."""
    want = whole(client)
    answer, pid = Answer(client), max(pids_of(cluster, role))
    gone = [pid, *(pids_of(cluster, Role.ROUTER) if role in VITAL else ())]
    answer.begin()
    os.kill(pid, blow)
    until(lambda: running(gone) == [], START_S)  # what it still had to say is lost with it
    answer.go_on()

    assert answer.text == want
    until(lambda: ask(entrance_of(cluster.run_directory)) == "serves", START_S)
    assert told in cluster.output
    assert "Traceback" not in cluster.output


def generated(client: httpx.Client) -> float:
    """Tokens, as /metrics counts them."""
    reply = client.get("/metrics")
    lines = [line for line in reply.text.splitlines() if line.startswith("vllm:generation_tokens")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def test_metrics_that_is_killed_disturbs_nobody_and_goes_on_where_it_was(
    cluster: Serving, client: httpx.Client
) -> None:
    """Calls go on without it. What it knew of is told by the next one; nothing is counted less."""
    want = whole(client)
    until(lambda: generated(client) >= ASK["max_tokens"], START_S)
    counted, told = generated(client), client.get("/cluster/events").json()["events"]
    answer, (pid,) = Answer(client), pids_of(cluster, Role.METRICS)
    answer.begin()
    os.kill(pid, signal.SIGKILL)
    until(lambda: running([pid]) == [], START_S)
    answer.go_on()

    assert answer.text == want
    until(lambda: generated(client) > counted, START_S)
    events = client.get("/cluster/events").json()["events"]
    assert {"joined", "ready", "configured"} <= {event["kind"] for event in told}
    assert events[: len(told)] == told
    assert len(client.get("/cluster").json()["workers"]) == 1


def test_nothing_is_left_of_all_that_there_was(cluster: Serving, client: httpx.Client) -> None:
    """Of no run: the one that died has been ended before. Ctrl-C ends ranks, too."""
    started = cluster.pids()
    roles = {role_of(arguments_of(pid)) for pid in started}
    shards = worker_of(client)["shards"]
    seconds = cluster.interrupt()

    assert roles >= VITAL
    assert {one["pid"] for one in shards} <= started
    assert seconds < STOP_S
    assert running(started) == []
    assert list(cluster.temporary.iterdir()) == []
    assert cluster.command.returncode == 0
