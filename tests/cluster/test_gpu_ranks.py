"""`raylax serve --device cuda --tensor-parallel-shards 2` on GPUs that a driver shows and nobody
has: a worker whose second rank is an actor with a GPU of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.cluster_gpu_serving import serving_on_gpus
from tests.support.cluster_serving import Serving
from tests.support.cuda_ranks import rank_cubins

pytestmark = pytest.mark.cluster
GPUS = [f"GPU-00000000-0000-0000-0000-{index:012}" for index in range(2)]
ASK: dict[str, Any] = {
    "prompt": "The capital of France is", "max_tokens": 4, "temperature": 0.8, "seed": 5,
    "ignore_eos": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def cluster(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One worker of two ranks."""
    directory = Path(tmp_path_factory.mktemp("driver"))
    settings = {
        "tensor_parallel_shards": 2, "max_num_sequence": 2, "enable_debug": True,
        "engine": {"max_total_sequence_length": 128, "prefill_chunk_size": 16},
    }  # fmt: skip
    with serving_on_gpus(directory, store, rank_cubins, settings, layers=1) as made:
        yield made


def test_a_worker_of_two_gpus_answers(cluster: Serving) -> None:
    """Draws are the device's, too; a debug call reaches both ranks, each of which sees one GPU."""
    with httpx.Client(base_url=cluster.url, timeout=60.0) as client:
        answers = [client.post("/v1/completions", json=ASK).json() for _ in range(2)]
        (worker,) = client.get("/cluster").json()["workers"]
        asked = {"name": "raylax.debug.rank", "args": []}
        said = client.post("/debug/call_func_on_all_worker", json=asked).json()

    assert [one["uuid"] for one in worker["gpus"]] == GPUS
    assert [one["gpu"] for one in worker["shards"]] == GPUS[1:]
    texts = [one["choices"][0]["text"] for one in answers]
    assert texts[0] and texts[0] == texts[1]
    assert [(one["rank"], one["device"]) for one in said["results"]] == [
        (0, "cuda:0"),
        (1, "cuda:0"),
    ]


def test_nothing_is_left_of_it(cluster: Serving) -> None:
    cluster.interrupt()

    assert cluster.command.returncode == 0
    assert list(cluster.temporary.iterdir()) == []
