"""Processes of a running cluster are killed while a client reads: its answer is whole all the same.

What is done about each one has tables in `tests/cluster/supervision/`; `bench/chaos.py --cluster`
strikes them all.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from raylax.cluster.environment import entrance_of
from raylax.cluster.supervision.front_door import ask
from raylax.cluster.supervision.processes import arguments_of, running
from raylax.cluster.supervision.roles import VITAL, Role, role_of
from tests.support.cluster_serving import READY, START_S, Serving, serving, until

pytestmark = pytest.mark.cluster
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 450, "temperature": 0, "ignore_eos": True, "stream": True,
}  # fmt: skip
TTL_S = 60


@pytest.fixture(scope="module")
def cluster(checkpoint: Path) -> Iterator[Serving]:
    with serving(str(checkpoint)) as made:
        made.wait_until_it_says(READY)
        yield made


class Answer:
    """A streamed answer that its client comes back to."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.text, self.ended, self._last = "", False, ""

    def begin(self) -> None:
        """Up to the first text."""
        headers = {"X-Raylax-Resume": str(TTL_S)}
        with self._client.stream("POST", "/v1/chat/completions", headers=headers, json=ASK) as said:
            said.raise_for_status()
            self._hear(said, until_there_is_text=True)

    def go_on(self) -> None:
        """To its end, whatever happens meanwhile."""
        deadline = time.monotonic() + START_S
        while not self.ended:
            assert time.monotonic() < deadline, f"it did not go on after {self._last}"
            call_id = self._last.rpartition(":")[0]
            headers = {"Last-Event-ID": self._last}
            with (
                suppress(httpx.HTTPError),
                self._client.stream("GET", f"/v1/streams/{call_id}", headers=headers) as said,
            ):
                assert said.status_code in (200, 503), said.read()
                if said.status_code == 200:
                    self._hear(said)
            time.sleep(0.1)

    def _hear(self, said: httpx.Response, until_there_is_text: bool = False) -> None:
        for line in said.iter_lines():
            if line.startswith("id: "):
                self._last = line.removeprefix("id: ")
            elif line == "data: [DONE]":
                self.ended = True
            elif line.startswith("data: "):
                for choice in json.loads(line.removeprefix("data: "))["choices"]:
                    self.text += choice["delta"].get("content") or ""
            if until_there_is_text and self.text:
                return


def pids_of(cluster: Serving, role: Role) -> set[int]:
    return {pid for pid in cluster.pids() if role_of(arguments_of(pid)) is role}


@pytest.fixture
def client(cluster: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.url, timeout=10.0) as made:
        yield made


def whole(client: httpx.Client) -> str:
    answer = Answer(client)
    answer.begin()
    answer.go_on()
    return answer.text


@pytest.mark.parametrize(
    ("role", "blow", "told"),
    [
        (Role.HAPROXY, signal.SIGKILL, ""),
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


def test_nothing_is_left_of_all_that_there_was(cluster: Serving) -> None:
    """Of no run: the one that died has been ended before."""
    started = cluster.pids()
    roles = {role_of(arguments_of(pid)) for pid in started}
    cluster.interrupt()

    assert roles >= VITAL
    assert running(started) == []
    assert list(cluster.temporary.iterdir()) == []
    assert cluster.command.returncode == 0
