"""A response may be gone on from at any router, by the tenant that it was an answer to."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from raylax.router.access.keys import Key, hash_of
from tests.support.router_rig import Rig, a_router, openai_client_of, running_router, until

ASK: dict[str, Any] = {"model": "tiny", "temperature": 0, "max_output_tokens": 8}
KEYS = tuple(Key(name, hash_of(f"{name}'s key")) for name in ("alice", "bob"))
UNKNOWN = f"resp_{'0' * 32}"


@pytest.fixture
async def rigs(checkpoint: Path) -> AsyncIterator[tuple[Rig, Rig]]:
    async with (
        running_router(checkpoint, keys=KEYS) as one,
        a_router(one.models.config, one.workers) as other,
    ):
        addresses = {one.models.peers.address, other.models.peers.address}
        await until(lambda: one.models.peers._others | other.models.peers._others == addresses)
        yield one, other


@pytest.fixture
async def asked(rigs: tuple[Rig, Rig]) -> AsyncIterator[dict[str, list[Any]]]:
    """`client.responses` of each tenant at both routers."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(openai_client_of(rig)) for rig in rigs]
        yield {
            key.name: [one.with_options(api_key=f"{key.name}'s key").responses for one in clients]
            for key in KEYS
        }


async def test_any_router_finds_it(asked: dict[str, list[Any]]) -> None:
    """And goes on from it, tells of it, refers to it and deletes it."""
    here, there = asked["alice"]
    first = await here.create(**ASK, input="hi")
    second = await there.create(**ASK, input="more", previous_response_id=first.id)
    alone = await here.create(**ASK, input="more", previous_response_id=first.id)
    reference = {"type": "item_reference", "id": first.output[0].id}
    referring = await there.create(**ASK, input=[reference])

    assert await there.retrieve(first.id) == first
    assert second.usage.input_tokens == alone.usage.input_tokens
    assert len((await here.input_items.list(second.id)).data) == 3
    assert (await there.input_items.list(referring.id)).data[0].id == first.output[0].id
    await there.delete(first.id)
    for one in (here, there):
        with pytest.raises(openai.NotFoundError):
            await one.retrieve(first.id)


async def test_another_tenants_is_as_unknown(asked: dict[str, list[Any]]) -> None:
    """In the same words, at both routers, whatever is asked; and it stays."""
    first = await asked["alice"][0].create(**ASK, input="hi")
    item = first.output[0].id
    for bob in asked["bob"]:
        for ask in (bob.retrieve, bob.delete, bob.cancel, bob.input_items.list):
            assert await told(ask(first.id), first.id) == await told(ask(UNKNOWN), UNKNOWN)
        for mine, nobodys in ((first.id, UNKNOWN), (item, item.replace(first.id[5:], "0" * 32))):
            assert await told(go_on(bob, mine), mine) == await told(go_on(bob, nobodys), nobodys)

    assert await asked["alice"][1].retrieve(first.id) == first


async def go_on(responses: Any, id: str) -> Any:
    if id.startswith("resp_"):
        return await responses.create(**ASK, input="hi", previous_response_id=id)
    return await responses.create(**ASK, input=[{"type": "item_reference", "id": id}])


async def told(asking: Any, id: str) -> tuple[int, str]:
    """The error's status, and its words without the id."""
    with pytest.raises(openai.APIStatusError) as caught:
        await asking
    assert f"'{id}' not found" in caught.value.message
    return caught.value.status_code, caught.value.message.replace(id, "")


async def test_it_ends_with_its_router(rigs: tuple[Rig, Rig], asked: dict[str, list[Any]]) -> None:
    """Who goes on from it is told so."""
    here, there = asked["alice"]
    first = await here.create(**ASK, input="hi")
    await rigs[0].models.close()
    with pytest.raises(openai.BadRequestError, match="while there is room and its router runs"):
        await there.create(**ASK, input="more", previous_response_id=first.id)
