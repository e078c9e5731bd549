"""Models of embeddings that have no head, as sentence-transformers writes them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from tests.support.family_checkpoints import write_family
from tests.support.family_configs import EMBEDDERS
from tests.support.paths import GOLDENS
from tests.support.router_rig import PATIENCE_S, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
END = 98
"""The token that its tokenizer puts behind a text."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=EMBEDDERS)
async def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, httpx.AsyncClient]]:
    path = write_family(tmp_path_factory.mktemp("embedder"), request.param)
    async with (
        running_router(path) as rig,
        httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S) as client,
    ):
        yield request.param, client


async def embedded(client: httpx.AsyncClient, given: Any) -> tuple[Any, int]:
    """The vector, and the tokens of the prompt."""
    answer = await client.post("/v1/embeddings", json={"input": given})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return np.array(found["data"][0]["embedding"]), found["usage"]["prompt_tokens"]


async def test_a_vector_is_that_of_transformers(family: tuple[str, httpx.AsyncClient]) -> None:
    """Its last state, at length 1."""
    name, client = family
    with np.load(GOLDENS / "families.npz") as file:
        ids, state = file[f"{name}/ids"].tolist(), file[f"{name}/states"][-1]

    got, tokens = await embedded(client, ids)

    assert tokens == len(ids)
    assert np.abs(got - state / np.linalg.norm(state)).max() < 1e-4


async def test_it_is_that_of_the_token_behind_a_text(
    family: tuple[str, httpx.AsyncClient],
) -> None:
    _, client = family
    whole, tokens = await embedded(client, "a text")
    spelled, _ = await embedded(client, [65, 96, 84, 69, 88, 84, END])

    assert tokens == len("a text") + 1
    assert np.array_equal(whole, spelled)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "a"}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "stream": True}),
    ],
)
async def test_it_writes_nothing(
    family: tuple[str, httpx.AsyncClient], path: str, body: dict[str, Any]
) -> None:
    answer = await family[1].post(path, json={"model": "tiny", **body})

    assert answer.status_code == 400
    assert "the model has no head: it has embeddings of texts, and writes none" in answer.text
