"""Several models behind one router: a request's `model` names the one that is meant."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from raylax.proto.frontend import Frontend
from raylax.proto.pb import raylax_pb2, raylax_pb2_grpc
from raylax.proto.text.files import TextFiles
from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from tests.support.checkpoints import write_checkpoint
from tests.support.router_rig import (
    ENGINE,
    PATIENCE_S,
    TOKEN,
    Rig,
    a_router,
    channel,
    running_worker,
)

CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "hi"}], "temperature": 0, "max_tokens": 12}


@dataclass
class Two:
    client: httpx.AsyncClient
    rig: Rig


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Other weights in the same shape, so that nothing is compiled for it."""
    return write_checkpoint(tmp_path_factory.mktemp("another"), seed=8)


@pytest.fixture
async def two(checkpoint: Path, another: Path) -> AsyncIterator[Two]:
    """The models tiny and other, with a worker each."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        first = await enter(running_worker(checkpoint, "w0", ENGINE))
        second = await enter(running_worker(another, "w1", ENGINE))
        configs = [
            RouterConfig("tiny", str(checkpoint), TOKEN, aliases=("small", "claude-*")),
            RouterConfig("other", str(another), TOKEN, aliases=("claude-opus-*",)),
        ]
        rig = await enter(a_router(configs[0], [first], Models(configs)))
        beside = await enter(a_router(RouterConfig("tiny", str(another), TOKEN), [second]))
        rig.models.open(Frontend.load(TextFiles(another), "other", 256), beside.router)
        client = await enter(httpx.AsyncClient(base_url=rig.url, timeout=PATIENCE_S))
        yield Two(client, rig)


async def said(two: Two, **body: object) -> str:
    reply = await two.client.post(CHAT, json={**ASK, **body})
    assert reply.status_code == 200, reply.text
    return str(reply.json()["choices"][0]["message"]["content"])


async def test_each_answers_for_itself(two: Two) -> None:
    """Without a name the first one is meant."""
    tiny, other = await said(two, model="tiny"), await said(two, model="other")

    assert tiny != other
    assert await said(two) == tiny


async def test_none_is_given_tools_that_its_template_does_not_show(two: Two) -> None:
    """Clients cannot tell the model of them otherwise."""
    assert [one.frontend.tools_must_show for one in two.rig.models.services] == [True, True]


async def test_an_unknown_one_is_told_what_there_is(two: Two) -> None:
    reply = await two.client.post(CHAT, json={**ASK, "model": "large"})

    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == "no model named 'large'; there is tiny, other"


async def test_both_are_listed(two: Two) -> None:
    listed = (await two.client.get("/v1/models")).json()["data"]
    async with channel(two.rig.grpc_address) as made:
        stub = raylax_pb2_grpc.RaylaxStub(made)
        models = (await stub.ListModels(raylax_pb2.ListModelsRequest())).models

    names = [(card["id"], card["root"]) for card in listed]
    assert names == [("tiny", "tiny"), ("small", "tiny"), ("other", "other")]
    assert [card.id for card in models] == [name for name, _ in names]


async def test_a_model_has_other_names(two: Two) -> None:
    """The longest pattern that fits says most; answers say the model's own name."""
    tiny, other = await said(two, model="tiny"), await said(two, model="other")
    reply = await two.client.post(CHAT, json={**ASK, "model": "small"})
    card = (await two.client.get("/v1/models/claude-sonnet-5")).json()

    assert reply.json()["model"] == "tiny"
    assert reply.json()["choices"][0]["message"]["content"] == tiny
    assert await said(two, model="claude-sonnet-5") == tiny
    assert await said(two, model="claude-opus-4-8") == other
    assert (card["id"], card["root"]) == ("claude-sonnet-5", "tiny")


async def test_grpc_names_them_too(two: Two) -> None:
    sampling = raylax_pb2.Sampling(temperature=0, max_tokens=12)
    message = raylax_pb2.Message(role="user", content="hi")
    async with channel(two.rig.grpc_address) as made:
        ask = raylax_pb2.ChatRequest(model="claude-opus-9", messages=[message], sampling=sampling)
        replies = [reply async for reply in raylax_pb2_grpc.RaylaxStub(made).Chat(ask)]

    assert "".join(reply.text for reply in replies) == await said(two, model="other")
