"""Workers come and go by load, on a real cluster, and nothing is lost."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from raylax.cluster.supervision.processes import running
from tests.support.cluster_serving import READY, Serving, serving

pytestmark = pytest.mark.cluster
PATIENCE_S = 120.0
FILE = """\
model: {model}
served_model_name: tiny
replicas: 0
max_replicas: 3
itl_p99_ms: 0.001
limits: {{worker_patience_s: 120}}
engine: {{threads: 1, pin_threads: false}}
"""
"""No target can be kept, so that a tenth of a worker's time counts: two clients are work for
three."""


@pytest.fixture(scope="module")
def cluster(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    file = tmp_path_factory.mktemp("scaling") / "raylax.yaml"
    file.write_text(FILE.format(model=checkpoint))
    with serving("--config", str(file)) as made:
        made.wait_until_it_says(READY)
        yield made


def workers(cluster: Serving) -> list[dict[str, Any]]:
    """Those that are ready and running."""
    known = httpx.get(f"{cluster.url}/cluster", timeout=PATIENCE_S).json()["workers"]
    return [one for one in known if one["state"] == "ready" and running([one["pid"]])]


def decisions(cluster: Serving) -> list[dict[str, Any]]:
    said = httpx.get(f"{cluster.url}/cluster/scaling", timeout=PATIENCE_S).json()
    told: list[dict[str, Any]] = said["models"].get("tiny", [])
    return told


def asked(cluster: Serving, tokens: int) -> int:
    """Tokens of an answer that was asked for so many."""
    body = {
        "model": "tiny", "prompt": "one two three", "max_tokens": tokens, "temperature": 0,
        "ignore_eos": True,
    }  # fmt: skip
    reply = httpx.post(f"{cluster.url}/v1/completions", json=body, timeout=PATIENCE_S)
    assert reply.status_code == 200, reply.text
    return int(reply.json()["usage"]["completion_tokens"])


def test_a_load_brings_three_workers_and_no_answer_is_lost(cluster: Serving) -> None:
    """Each answer has all its tokens, also those that run while a worker comes."""
    ends = time.monotonic() + PATIENCE_S
    answers: list[int] = []

    def keep_asking() -> None:
        while len(workers(cluster)) < 3 and time.monotonic() < ends:
            answers.append(asked(cluster, 400))

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(keep_asking) for _ in range(2)]:
            done.result()

    assert len(workers(cluster)) == 3
    assert answers and set(answers) == {400}
    last = decisions(cluster)[-1]
    assert last["choice"] == 3
    assert last["inputs"]["start_s"] > 0.5
    assert last["starts_s"]


def test_and_they_go_again_while_an_answer_runs(cluster: Serving) -> None:
    """A long answer is handed over, and complete."""
    with ThreadPoolExecutor(1) as pool:
        answers = []
        until_fewer = time.monotonic() + 2 * PATIENCE_S
        while len(workers(cluster)) > 1 and time.monotonic() < until_fewer:
            answers.append(pool.submit(asked, cluster, 100).result())
            time.sleep(1.0)  # a load of next to nothing: what is waited for is that workers go
    assert len(workers(cluster)) == 1
    assert set(answers) == {100}
