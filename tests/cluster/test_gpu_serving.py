"""`raylax serve` of two models on four GPUs that a driver shows and nobody has: the demo model's
first layers, by the kernels that GPUs would run, interpreted.

One has a worker of two ranks, the second of which is an actor with a GPU of its own; the other one
has two workers, of which one loses its GPU.
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster_gpu_serving import serving_on_gpus
from tests.support.cluster_serving import START_S, Serving, until
from tests.support.cuda_demo import demo_cubins
from tests.support.cuda_ranks import rank_cubins

pytestmark = pytest.mark.cluster
GPUS = [f"GPU-00000000-0000-0000-0000-{index:012}" for index in range(4)]
RANKS, WORKERS = "ranks", "workers"
"""The models."""
MODELS: dict[str, dict[str, Any]] = {
    RANKS: {
        "tensor_parallel_shards": 2, "max_num_sequence": 2,
        "engine": {"max_total_sequence_length": 128, "prefill_chunk_size": 16},
    },
    WORKERS: {
        "replicas": 2, "max_num_sequence": 4,
        "engine": {"max_total_sequence_length": 256, "prefill_chunk_size": 32},
    },
}  # fmt: skip
LAYERS = {RANKS: 1, WORKERS: 2}
ASK: dict[str, Any] = {
    "prompt": "The capital of France is", "temperature": 0.8, "seed": 5, "ignore_eos": True,
}  # fmt: skip
FAILED = 719  # cudaErrorLaunchFailure


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that says which GPU is lost, and how."""
    return Path(tmp_path_factory.mktemp("gpus")) / "lost"


@pytest.fixture(scope="module")
def cluster(store: Path, lost: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """All GPUs are taken."""
    directory, codes = Path(tmp_path_factory.mktemp("driver")), [rank_cubins, demo_cubins]
    with serving_on_gpus(
        directory, store, len(GPUS), MODELS, codes, LAYERS, RAYLAX_FAKE_LOST=str(lost)
    ) as made:
        yield made


@pytest.fixture
def client(cluster: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=cluster.url, timeout=60.0) as made:
        yield made


def workers(client: httpx.Client, model: str = WORKERS) -> list[dict[str, Any]]:
    """Those of a model that take requests."""
    found: list[dict[str, Any]] = client.get("/cluster").json()["workers"]
    return [one for one in found if one["state"] == "ready" and one["model"] == model]


def answer(client: httpx.Client, begun: threading.Event | None = None) -> str:
    """A streamed one, whole."""
    text = ""
    body = {**ASK, "model": WORKERS, "max_tokens": 12, "stream": True}
    with client.stream("POST", "/v1/completions", json=body) as said:
        said.raise_for_status()
        for line in said.iter_lines():
            if line.startswith("data: {"):
                text += json.loads(line.removeprefix("data: "))["choices"][0]["text"]
                if begun is not None and text:
                    begun.set()
    assert line in ("", "data: [DONE]"), line
    return text


def test_a_worker_of_two_gpus_answers(client: httpx.Client) -> None:
    """Draws are the device's, too; a debug call reaches both ranks, each of which sees one GPU."""
    until(lambda: len(workers(client, RANKS)) == 1, START_S)
    body = {**ASK, "model": RANKS, "max_tokens": 4}
    answers = [client.post("/v1/completions", json=body).json() for _ in range(2)]
    (worker,) = workers(client, RANKS)
    asked = {"name": "raylax.debug.rank", "args": []}
    said = client.post("/debug/call_func_on_all_worker", json=asked).json()

    assert len({one["uuid"] for one in worker["gpus"]} & {*GPUS}) == 2
    assert [one["gpu"] for one in worker["shards"]] == [one["uuid"] for one in worker["gpus"][1:]]
    texts = [one["choices"][0]["text"] for one in answers]
    assert texts[0] and texts[0] == texts[1]
    assert [(one["rank"], one["device"]) for one in said["results"]] == [
        (0, "cuda:0"),
        (1, "cuda:0"),
    ]


def test_an_answer_is_whole_though_the_gpu_that_makes_it_is_lost(
    cluster: Serving, client: httpx.Client, lost: Path
) -> None:
    """Another worker goes on with it, the same tokens; the one that lost its GPU says which, and is
    replaced when there is one."""
    until(lambda: len(workers(client)) == 2, START_S)
    first = {one["worker_id"]: one for one in workers(client)}
    gpus = {id: one["gpus"][0]["uuid"] for id, one in first.items()}
    ranks = workers(client, RANKS)[0]["gpus"]
    assert sorted([*gpus.values(), *(one["uuid"] for one in ranks)]) == GPUS
    assert {one["engine_config"]["quantization"] for one in first.values()} == {"q0bf16"}
    want = answer(client)

    told, begun = list[str](), threading.Event()
    thread = threading.Thread(target=lambda: told.append(answer(client, begun)))
    thread.start()
    assert begun.wait(START_S)
    running = [one["worker_id"] for one in workers(client) if one["load"]["running"]]
    gone = running[0]
    lost.write_text(f"{FAILED} {GPUS.index(gpus[gone])}")
    thread.join(START_S)

    assert told == [want]
    until(lambda: gone not in [one["worker_id"] for one in workers(client)], START_S)
    lost.unlink()
    until(lambda: len(workers(client)) == 2, START_S)
    assert {one["gpus"][0]["uuid"] for one in workers(client)} == {*gpus.values()}
    assert answer(client) == want


def test_nothing_is_left_of_it(cluster: Serving) -> None:
    cluster.interrupt()

    assert cluster.command.returncode == 0
    assert list(cluster.temporary.iterdir()) == []
