"""A batch on `raylax serve` as people run it: it outlives the cluster that began it."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.batch_routers import jsonl, line, parsed
from tests.support.cluster_serving import READY, START_S, serving, until

pytestmark = pytest.mark.cluster
PATIENCE_S = 240.0
LINES = [line(f"ask {n}", max_tokens=150, ignore_eos=True) for n in range(60)]
BAD = {**LINES[0], "custom_id": "bad", "body": {**LINES[0]["body"], "max_tokens": -1}}
COUNTED = re.compile(r'^raylax_batch_requests_total\{outcome="(\w+)"\} ([0-9.]+)$', re.MULTILINE)


def counted(client: httpx.Client) -> dict[str, int]:
    """Lines, as all routers together say."""
    return {name: int(float(count)) for name, count in COUNTED.findall(metrics(client))}


def metrics(client: httpx.Client) -> str:
    return client.get("/metrics").text


def batch_of(client: httpx.Client, id: str) -> Any:
    return client.get(f"/v1/batches/{id}").json()


def content(client: httpx.Client, id: str) -> dict[str, Any]:
    """The results of a file, by what they answer; none has two."""
    results = parsed(client.get(f"/v1/files/{id}/content").content)
    said = {one["custom_id"]: one["response"] for one in results}
    assert len(said) == len(results)
    return said


@pytest.mark.timeout(4 * START_S)
def test_a_batch_outlives_its_cluster(tmp_path: Path) -> None:
    """Its cluster ends in the middle of it, and the next one of the directory goes on: every line
    has one result, the one that its client would have had, and is counted once."""
    files = ("--files-directory", str(tmp_path))
    with serving(*files) as first, httpx.Client(base_url=first.url, timeout=PATIENCE_S) as client:
        first.wait_until_it_says(READY)
        sent = {"file": ("in.jsonl", jsonl([*LINES, BAD]))}
        file = client.post("/v1/files", files=sent, data={"purpose": "batch"}).json()
        batch = client.post(
            "/v1/batches",
            json={
                "input_file_id": file["id"],
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            },
        ).json()
        until(lambda: 'raylax_batches{state="running"} 1.0' in metrics(client), PATIENCE_S)
        until(lambda: counted(client).get("completed", 0) > 3, PATIENCE_S)
        first.interrupt()
    with serving(*files) as second, httpx.Client(base_url=second.url, timeout=PATIENCE_S) as client:
        second.wait_until_it_says(READY)
        until(lambda: batch_of(client, batch["id"])["status"] == "completed", PATIENCE_S)
        after = batch_of(client, batch["id"])
        answered = content(client, after["output_file_id"])
        refused = content(client, after["error_file_id"])
        asked = {**LINES[7]["body"], "stream": False}
        direct = client.post("/v1/chat/completions", json=asked).json()
        until(lambda: 'status="completed"} 1.0' in metrics(client), PATIENCE_S)
        told = counted(client)

    assert after["request_counts"] == {"total": 61, "completed": 60, "failed": 1}
    assert set(answered) == {one["custom_id"] for one in LINES}
    assert answered["ask 7"]["body"]["choices"] == direct["choices"]
    assert json.dumps(refused["bad"]["body"]).count("max_tokens") > 0
    assert 0 < told["completed"] < len(LINES), "some were the first cluster's"
