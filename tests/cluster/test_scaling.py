"""Workers of two models come and go by load, on a real cluster with room for three, and nothing is
lost. The tests follow one another."""

import io
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from rich.console import Console

from raylax.cluster.autoscaling.rule import EVERY_S
from raylax.cluster.cli.status import show
from raylax.cluster.supervision.processes import running
from tests.support.checkpoints import write_checkpoint
from tests.support.cluster_serving import READY, START_S, Serving, serving, until

PATIENCE_S = 240.0
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(START_S + 2 * PATIENCE_S)]
FILE = """\
models:
  - {{model: {model}, served_model_name: left}}
  - {{model: {model}, served_model_name: right, scaling_weight: 9}}
routers: 1
policy: round-robin
replicas: 0
max_replicas: 3
itl_p99_ms: 0.001
autoscaling: {{pool: 3, idle_s: 10, dry_run: {dry_run}}}
limits: {{max_wait_s: 240, worker_patience_s: 240}}
engine: {{threads: 1, pin_threads: false}}
"""
"""No target can be kept, so that a tenth of a worker's time counts: a few clients are work for more
than three."""
LONG = 2000
"""Tokens of an answer during which a worker may come or go."""


class Answer(NamedTuple):
    call: str
    seed: int
    text: str
    tokens: int


class Cluster:
    """As its operator sees it."""

    def __init__(self, made: Serving, client: httpx.Client, file: Path, model: Path) -> None:
        self.url, self.client = made.url, client
        self._command, self._file, self._model = made.command, file, model

    @staticmethod
    def write(file: Path, model: Path, dry_run: bool = False) -> None:
        file.write_text(FILE.format(model=model, dry_run=str(dry_run).lower()))

    def only_decide(self) -> None:
        """From now on, by its file."""
        self.write(self._file, self._model, dry_run=True)
        self._command.send_signal(signal.SIGUSR1)

    def seen(self) -> dict[str, Any]:
        body: dict[str, Any] = self.client.get("/cluster").json()
        return body

    def workers(self, model: str) -> list[dict[str, Any]]:
        """Those that are ready and running."""
        known = [one for one in self.seen()["workers"] if one["model"] == model]
        return [one for one in known if one["state"] == "ready" and running([one["pid"]])]

    def decisions(self, model: str) -> list[dict[str, Any]]:
        said = self.client.get("/cluster/scaling").json()
        told: list[dict[str, Any]] = said["models"].get(model, [])
        return told

    def status(self) -> str:
        """What `raylax status` prints."""
        out = io.StringIO()
        show(self.url, False, Console(file=out, width=120, color_system=None))
        return out.getvalue()

    def ask(self, model: str, seed: int, tokens: int) -> Answer:
        body = {
            "model": model, "prompt": "one two three", "max_tokens": tokens, "seed": seed,
            "temperature": 1, "ignore_eos": True,
        }  # fmt: skip
        reply = self.client.post("/v1/completions", json=body)
        assert reply.status_code == 200, reply.text
        told = reply.json()
        return Answer(
            told["id"], seed, told["choices"][0]["text"], told["usage"]["completion_tokens"]
        )

    def moments(self, answer: Answer) -> set[str]:
        """The names of all that happened to it."""
        told = self.client.get(f"/explain/{answer.call}").json()
        return {one["name"] for one in told["moments"]}

    @contextmanager
    def asked_by(self, clients: int, model: str) -> Iterator[list[Answer]]:
        """While the block runs, so many clients ask for one long answer after another, of which no
        two begin alike. Yields the answers, which are whole."""
        over, seeds, answers = threading.Event(), count(1), list[Answer]()

        def keep_asking() -> None:
            while not over.is_set():
                answer = self.ask(model, next(seeds), LONG)
                assert answer.tokens == LONG
                answers.append(answer)

        with ThreadPoolExecutor(clients) as pool:
            asking = [pool.submit(keep_asking) for _ in range(clients)]
            try:
                yield answers
            finally:
                over.set()
            for one in asking:
                one.result()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    place = tmp_path_factory.mktemp("scaling")
    model = write_checkpoint(place / "model", max_position_embeddings=16384)
    file = place / "raylax.yaml"
    Cluster.write(file, model)
    with serving("--config", str(file)) as made:
        made.wait_until_it_says(READY)
        with httpx.Client(base_url=made.url, timeout=PATIENCE_S) as client:
            yield Cluster(made, client, file, model)


def test_who_asks_where_no_worker_is_waits_and_sees_for_what(cluster: Cluster) -> None:
    """Also at a router that has never seen one."""
    until(lambda: not cluster.seen()["workers"], PATIENCE_S)
    quiet = cluster.status()
    (router,) = cluster.seen()["routers"]
    os.kill(router["pid"], signal.SIGKILL)
    until(lambda: asleep(cluster.client), PATIENCE_S)
    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(cluster.ask, "left", number, 10) for number in range(3)]
        # A start that takes a second or two is over before it is told of.
        what = r"the next request starts one|.*starting.* for \d+ s of about \d+ s"
        told = rf"^0 workers, ({what}), 3 requests wait *$"
        until(lambda: re.search(told, cluster.status(), re.MULTILINE), PATIENCE_S)
        answers = [one.result() for one in asking]

    assert quiet.count("0 workers, the next request starts one") == 2
    assert [one.tokens for one in answers] == [10] * 3
    assert not cluster.workers("right")
    assert cluster.decisions("left")[-1]["starts_s"]


def asleep(client: httpx.Client) -> bool:
    """Whether a router says that it has no worker and yet serves."""
    try:
        reply = client.get("/health")
        told = reply.json()
    except (httpx.HTTPError, ValueError):
        return False
    return reply.status_code == 200 and not told["workers"]


def test_a_pool_is_shared_and_answers_go_on(cluster: Cluster) -> None:
    """Three workers for who is alone; then one at least goes, and hands over what it does, for
    somebody else. An answer is the same where nothing happens to it."""
    with cluster.asked_by(6, "left") as answers:
        until(lambda: busy(cluster.workers("left")) == 3, PATIENCE_S)
        with cluster.asked_by(2, "right"):
            until(lambda: cluster.workers("right"), PATIENCE_S)
            until(lambda: pages_fetched(cluster.workers("left")), PATIENCE_S)
    moved = [one for one in answers if "handed over" in cluster.moments(one)]
    with ThreadPoolExecutor(len(moved)) as pool:
        again = list(pool.map(lambda one: cluster.ask("left", one.seed, LONG), moved))
    (router,) = cluster.seen()["routers"]
    attempts = router["models"]["left"]["attempts"]

    assert [one.text for one in again] == [one.text for one in moved]
    assert attempts["handed over"] >= len(moved) > 0
    assert attempts.get("lost", 0) == 0


def busy(workers: list[dict[str, Any]]) -> int:
    return sum(one["load"]["running"] > 0 for one in workers)


def pages_fetched(workers: list[dict[str, Any]]) -> int:
    """What they have of what others had computed."""
    return sum(one["done"]["pages_fetched"] for one in workers)


def test_receipts_say_what_the_pool_has_left(cluster: Cluster) -> None:
    """Alone the first model had three, then fewer, of which the other one has the rest."""
    told = [(one["choice"], one["reason"]) for one in cluster.decisions("left")]
    alone = [choice for choice, reason in told if reason.startswith("more is needed")]
    beside = "; the pool of 3 has {} for this model"

    assert 3 in alone
    assert any(n < 3 and reason.endswith(beside.format(n)) for n, reason in told)
    assert any(beside.format(1) in one["reason"] for one in cluster.decisions("right"))


def test_a_dry_run_decides_and_does_nothing(cluster: Cluster) -> None:
    """Nobody asks any more: it would have none, and keeps those that there are."""
    with cluster.asked_by(1, "left"):
        cluster.only_decide()
        until(lambda: cluster.decisions("left")[-1]["dry_run"], PATIENCE_S)
        until(lambda: settled(cluster.seen()), PATIENCE_S)
        before = [one["pid"] for one in cluster.workers("left")]
    until(lambda: cluster.decisions("left")[-1]["choice"] == 0, PATIENCE_S)
    decided = cluster.decisions("left")[-1]["at_s"]
    until(lambda: cluster.decisions("left")[-1]["at_s"] > decided + EVERY_S, PATIENCE_S)

    assert before
    assert [one["pid"] for one in cluster.workers("left")] == before


def settled(seen: dict[str, Any]) -> bool:
    """Whether nothing of what was decided before is still being done."""
    starting = seen["models"]["left"]["starting"]
    return not starting and all(one["state"] == "ready" for one in seen["workers"])
