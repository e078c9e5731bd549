"""POST /v1/embeddings, by OpenAI's client and by hand, against a real router."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.support.router_rig import (
    ENGINE,
    PATIENCE_S,
    Rig,
    openai_client_of,
    running_router,
    until,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEXTS = ["the first", "another text, which is longer", "the first"]


async def post(rig: Rig, body: dict[str, Any]) -> httpx.Response:
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        return await http.post(f"{rig.url}/v1/embeddings", json=body)


async def test_vectors_come_in_the_order_of_the_inputs(openai_client: openai.AsyncOpenAI) -> None:
    """The openai_client asks for base64 and decodes it; each vector has length 1."""
    found = await openai_client.embeddings.create(model="tiny", input=TEXTS)
    vectors = [one.embedding for one in found.data]

    assert (found.object, found.model) == ("list", "tiny")
    assert [(one.object, one.index) for one in found.data] == [("embedding", i) for i in range(3)]
    assert vectors[0] == vectors[2] != vectors[1]
    assert [len(one) for one in vectors] == [64, 64, 64]
    assert [math.hypot(*one) for one in vectors] == pytest.approx([1, 1, 1], abs=1e-6)
    assert found.usage.prompt_tokens == found.usage.total_tokens == sum(map(len, TEXTS))


async def test_floats_and_base64_are_the_same(openai_client: openai.AsyncOpenAI, rig: Rig) -> None:
    """To the last bit; floats are what a body gets that does not say."""
    encoded = await openai_client.embeddings.create(model="tiny", input=TEXTS[0])
    asked = await openai_client.embeddings.create(
        model="tiny", input=TEXTS[0], encoding_format="float"
    )
    plain = (await post(rig, {"input": TEXTS[0], "model": None})).json()

    assert asked.data[0].embedding == encoded.data[0].embedding
    assert plain["data"][0]["embedding"] == encoded.data[0].embedding
    assert plain["usage"] == {"prompt_tokens": 9, "total_tokens": 9}


async def test_token_ids_are_as_good_as_text(openai_client: openai.AsyncOpenAI, rig: Rig) -> None:
    """One list of them, or several."""
    tokenizer = rig.service.frontend.tokenizer
    ids = [tokenizer.encode(text) for text in TEXTS[:2]]
    texts = await openai_client.embeddings.create(model="tiny", input=TEXTS[:2])
    one = await openai_client.embeddings.create(model="tiny", input=ids[0])
    both = await openai_client.embeddings.create(model="tiny", input=ids)

    assert one.data[0].embedding == texts.data[0].embedding
    assert [e.embedding for e in both.data] == [e.embedding for e in texts.data]


async def test_fewer_dimensions_are_the_first_ones(openai_client: openai.AsyncOpenAI) -> None:
    """At length 1 again."""
    whole = (await openai_client.embeddings.create(model="tiny", input="text")).data[0].embedding
    short = await openai_client.embeddings.create(model="tiny", input="text", dimensions=5)
    same = await openai_client.embeddings.create(model="tiny", input="text", dimensions=64)

    length = math.hypot(*whole[:5])
    assert short.data[0].embedding == pytest.approx([value / length for value in whole[:5]])
    assert same.data[0].embedding == whole


async def test_many_inputs_are_batched(openai_client: openai.AsyncOpenAI, rig: Rig) -> None:
    """More than an engine runs at once; they wait for each other, not for anything else."""
    texts = [f"text {i}" for i in range(60)]
    found = await openai_client.embeddings.create(model="tiny", input=texts)
    some = await openai_client.embeddings.create(model="tiny", input=texts[41])

    assert len({tuple(one.embedding) for one in found.data}) == 60
    assert found.data[41].embedding == some.data[0].embedding
    assert len(rig.service.journal) == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "input: Field required"),
        ({"input": ""}, "input: must not be empty"),
        ({"input": []}, "input: List should have at least 1 item"),
        ({"input": ["a", 1]}, "input.0: Input should be a valid integer, found 'a'"),
        ({"input": [99]}, "input: token id 99 is outside the vocabulary of 99"),
        ({"input": ["a"] * 1025}, "input: List should have at most 1024 items"),
        ({"input": "a" * 256}, "input: the prompt has 256 tokens, the limit is 255"),
        ({"input": "a", "dimensions": 65}, "dimensions: must be at most 64, found 65"),
        ({"input": "a", "dimensions": 0}, "dimensions: Input should be greater than or equal to 1"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format: Input should be 'float' or"),
        ({"input": "a", "pooling": "mean"}, "pooling: tiny pools by last, found mean"),
        ({"input": "a", "pooling": "max"}, "pooling: Input should be 'last', 'mean' or 'cls'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_breaks_a_rule_is_a_400(rig: Rig, body: dict[str, Any], words: str) -> None:
    """That names the field, the rule and the value."""
    answer = await post(rig, {"model": "tiny", **body})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(words)
    assert answer.json()["error"]["param"].split(".")[0] == words.split(":")[0].split(".")[0]


async def test_an_engine_may_pool_by_mean(checkpoint: Path, rig: Rig) -> None:
    """Then its vectors are others, are cut as all are, and score pairs of texts."""
    async with (
        running_router(checkpoint, engine=replace(ENGINE, pooling="mean")) as by_mean,
        httpx.AsyncClient(base_url=by_mean.url, timeout=PATIENCE_S) as http,
    ):
        body = {"input": TEXTS, "pooling": "mean"}
        first, again = [(await http.post("/v1/embeddings", json=body)).json() for _ in range(2)]
        short = (await http.post("/v1/embeddings", json={**body, "dimensions": 5})).json()
        pair = {"text_1": TEXTS[0], "text_2": TEXTS[1]}
        scored = (await http.post("/v1/score", json=pair)).json()
    last = (await post(rig, {"input": TEXTS})).json()
    vectors = [one["embedding"] for one in first["data"]]

    assert first["data"] == again["data"] != last["data"]
    cut = [value / math.hypot(*vectors[1][:5]) for value in vectors[1][:5]]
    assert short["data"][1]["embedding"] == pytest.approx(cut)
    cosine = sum(a * b for a, b in zip(*vectors[:2], strict=True))
    assert scored["data"][0]["score"] == pytest.approx(cosine, abs=1e-6)


async def test_an_unknown_model_is_a_404(rig: Rig) -> None:
    answer = await post(rig, {"model": "other", "input": "a"})

    assert answer.status_code == 404


async def test_another_worker_takes_over(checkpoint: Path) -> None:
    """When a worker is lost with the request in it: the vector is the same."""
    async with running_router(checkpoint, count=2) as rig, openai_client_of(rig) as client:
        before = await client.embeddings.create(model="tiny", input="lost and found")
        for worker in rig.workers:
            worker.hold(0)
        waiting = asyncio.create_task(
            client.embeddings.create(model="tiny", input="lost and found")
        )
        await until(lambda: any(worker.running for worker in rig.workers))
        lost, other = sorted(rig.workers, key=lambda worker: worker.running, reverse=True)
        other.let_go()
        await lost.die()
        after = await waiting

    assert after.data[0].embedding == before.data[0].embedding
