"""Messages that do not come: they count as bodies do, and have their time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio

from raylax.proto.pb import raylax_pb2 as pb
from raylax.router.access.keys import Key, hash_of
from raylax.router.grpc.receiving import MOST_BYTES, USUAL_BYTES
from tests.support.router_rig import Rig, channel, running_router, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHAT, EMBED = "/raylax.v1.Raylax/Chat", "/raylax.v1.Raylax/Embed"
MIB = 1 << 20
ASK = pb.ChatRequest(
    messages=[pb.Message(role="user", content="hi")], sampling=pb.Sampling(max_tokens=2)
).SerializeToString()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    keys = (Key("bob", hash_of("bob")), Key("alice", hash_of("alice")))
    async with running_router(
        checkpoint, keys=keys, max_bodies_bytes=3 * MOST_BYTES, max_body_bytes=MIB
    ) as made:
        yield made


def asked(made: grpc.aio.Channel, who: str, method: str = CHAT) -> Any:
    """A call whose request has not come."""
    ask: Any = made.stream_stream(method)
    return ask(metadata=(("authorization", f"Bearer {who}"),))


async def status_of(call: Any) -> grpc.StatusCode:
    async with asyncio.timeout(30):
        code: grpc.StatusCode = await call.code()
    return code


async def test_what_does_not_come_counts_as_large_as_it_may_be(rig: Rig) -> None:
    """What comes at once does not, and another tenant has its part of the room."""
    bodies = rig.models.state.bodies
    async with AsyncExitStack() as stack:
        made = await stack.enter_async_context(channel(rig.grpc_address))
        waiting = []
        for count in (1, 2, 3):
            waiting.append(asked(made, "bob"))
            await until(lambda: bodies.of("bob") >= count * MOST_BYTES)  # noqa: B023
        refused = asked(made, "bob")
        assert await status_of(refused) is grpc.StatusCode.RESOURCE_EXHAUSTED
        alice = asked(made, "alice")
        await alice.write(ASK)
        await alice.done_writing()
        assert [reply async for reply in alice]
        assert await status_of(waiting[0]) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert bodies.used == 2 * MOST_BYTES
        for call in waiting:
            call.cancel()
        await until(lambda: bodies.used == 0)


async def test_a_message_that_came_counts_no_more(rig: Rig) -> None:
    async with channel(rig.grpc_address) as made:
        call = asked(made, "bob")
        await until(lambda: rig.models.state.bodies.of("bob") == USUAL_BYTES)
        await call.write(ASK)
        assert await call.read()
        assert rig.models.state.bodies.used == 0
        call.cancel()


@pytest.mark.parametrize("method", [CHAT, EMBED])
async def test_a_call_without_a_request_is_a_mistake(rig: Rig, method: str) -> None:
    async with channel(rig.grpc_address) as made:
        call = asked(made, "bob", method)
        await call.done_writing()

        assert await status_of(call) is grpc.StatusCode.INVALID_ARGUMENT
        assert await call.details() == "the call has no request"


@pytest.mark.parametrize("method", [CHAT, EMBED])
async def test_a_message_has_its_time(checkpoint: Path, method: str) -> None:
    async with (
        running_router(checkpoint, body_timeout_s=0.2) as rig,
        channel(rig.grpc_address) as made,
    ):
        call = asked(made, "", method)

        assert await status_of(call) is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "must come within 0.2 s" in await call.details()
