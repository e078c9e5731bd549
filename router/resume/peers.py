"""Routers ask each other: a client may come back to another one than it was with.

They know each other through the workers, to which all of them are attached; nothing is central.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import grpc.aio

from raylax.proto.addresses import parts_of
from raylax.proto.event_trace import ClockOffset, ProcessTrace, own_clock, traces_in
from raylax.proto.openai.responses.kept import KeptResponse
from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.pb import engine_pb2_grpc, raylax_pb2
from raylax.proto.timeline import TimelineSnapshot
from raylax.proto.wire.cluster_tls import NAME, crosses_a_wire, identity_of
from raylax.proto.wire.peer_proof import (
    is_peers_answer,
    question_metadata,
)
from raylax.router.observe.measures import RouterMeasures
from raylax.router.observe.timeline import from_json

if TYPE_CHECKING:
    from raylax.proto.pb.engine_pb2_grpc import PeerAsyncStub

ASK_S = 2.0
KEPT = ("kept", "1")
"""Initial metadata that say, before the first part, that the answer is kept here."""
TRACE_S = 30.0
"""For another router to say what it remembers, which may be megabytes."""
CLOCK_ROUNDS = 4
Question = (
    pb.TellRequest
    | pb.ReadRequest
    | pb.MeasureRequest
    | pb.TraceRequest
    | pb.ShowRequest
    | pb.RecallRequest
)
Short = TypeVar("Short", pb.TellRequest, pb.MeasureRequest, pb.ShowRequest, pb.RecallRequest)
"""A question whose answer is one message."""
Answer = TypeVar("Answer")
NONCE_BYTES = 16
ANY_LENGTH = [("grpc.max_receive_message_length", -1)]
"""Of answers, which are the cluster's own: a conversation may have megabytes."""
NumberedParts = AsyncGenerator[tuple[int, Any]]
EVENT = "event"
MESSAGES = {kind.DESCRIPTOR.name: kind for kind in (raylax_pb2.ChatReply, raylax_pb2.GenerateReply)}


def part_of(message: pb.Part) -> Any:
    if message.kind == EVENT:
        return message.content
    return MESSAGES[message.kind].FromString(message.content)


class Peers:
    """Asks the other routers of the cluster."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.address = ""
        """The address at which this router answers the others."""
        self._others: frozenset[str] = frozenset()

    def heard(self, addresses: Iterable[str]) -> None:
        """Takes the addresses of all routers that a worker knows of, this one's among them."""
        self._others = frozenset(addresses) - {self.address, ""}

    async def tell(self, call_id: str, tenant: str | None) -> TimelineSnapshot | None:
        """The timeline of a call of a tenant's, or of anybody's, that another router had; None:
        nobody knows it."""
        asked = pb.TellRequest(call_id=call_id, tenant=tenant)
        timelines = await asyncio.gather(*(self._tell(one, asked) for one in self._others))
        return next((timeline for timeline in timelines if timeline is not None), None)

    async def _tell(self, address: str, asked: pb.TellRequest) -> TimelineSnapshot | None:
        told = await self._ask(address, asked, lambda stub: stub.Tell)
        return None if told is None else from_json(json.loads(told.json))

    async def _ask(
        self,
        address: str,
        asked: Short,
        method: "Callable[[PeerAsyncStub], grpc.aio.UnaryUnaryMultiCallable[Short, Answer]]",
        within_s: float = ASK_S,
    ) -> Answer | None:
        """What another router answers; None where none does in time."""
        async with channel_to(address, self._token) as channel:
            shown = question_metadata(self._token, address, asked)
            call = method(engine_pb2_grpc.PeerStub(channel))(
                asked, metadata=shown, timeout=within_s
            )
            try:
                if self._is_answer(await call.initial_metadata(), address, asked):
                    return await call
            except grpc.aio.AioRpcError:
                pass
        return None

    def _is_answer(self, first: Any, address: str, asked: Question) -> bool:
        """Whether another router has begun to answer: nobody else is believed."""
        return is_peers_answer(tuple(first), self._token, address, asked)

    async def measures(self) -> list[RouterMeasures]:
        """What each of the other routers measures, of those that answer."""
        told = await asyncio.gather(*map(self._measures, self._others))
        return [measures for measures in told if measures is not None]

    async def _measures(self, address: str) -> RouterMeasures | None:
        asked = pb.MeasureRequest(nonce=secrets.token_bytes(NONCE_BYTES))
        told = await self._ask(address, asked, lambda stub: stub.Measure)
        return None if told is None else RouterMeasures.model_validate_json(told.json)

    async def numbers(self, within_s: float) -> dict[str, Any]:
        """What a page shows of each of the other routers, by address; None of one that does not
        answer in time."""
        others = sorted(self._others)
        told = await asyncio.gather(*(self._numbers(one, within_s) for one in others))
        return dict(zip(others, told, strict=True))

    async def _numbers(self, address: str, within_s: float) -> Any:
        asked = pb.ShowRequest(nonce=secrets.token_bytes(NONCE_BYTES))
        told = await self._ask(address, asked, lambda stub: stub.Show, within_s)
        return None if told is None else json.loads(told.json)

    async def traces(self) -> tuple[list[ProcessTrace], dict[str, str]]:
        """What the other routers remember of calls, on this one's clock, and who of them does not
        answer."""
        others = sorted(self._others)
        told = await asyncio.gather(*map(self._trace, others))
        silent = [one for one, trace in zip(others, told, strict=True) if trace is None]
        return [one for one in told if one is not None], {
            f"router {one}": "it does not answer in time" for one in silent
        }

    async def _trace(self, address: str) -> ProcessTrace | None:
        """Asked for the clock alone at first: then the connection is there, and an answer is
        quick."""
        far: list[ClockOffset] = []
        async with channel_to(address, self._token) as channel:
            stub = engine_pb2_grpc.PeerStub(channel)
            for clock_only in (*[True] * CLOCK_ROUNDS, False):
                nonce = secrets.token_bytes(NONCE_BYTES)
                asked, at = pb.TraceRequest(nonce=nonce, clock_only=clock_only), time.monotonic()
                shown = question_metadata(self._token, address, asked)
                call = stub.Trace(asked, metadata=shown, timeout=TRACE_S)
                try:
                    if not self._is_answer(await call.initial_metadata(), address, asked):
                        return None
                    parts = aiter(call)
                    says = (await anext(parts)).now_s
                    error = (time.monotonic() - at) / 2
                    far.append(ClockOffset(at + error - says, error))
                    content = b"".join([part.content async for part in parts])
                except (grpc.aio.AioRpcError, StopAsyncIteration):
                    return None
        (trace,) = traces_in(content)
        return trace.seen_from(own_clock(), min(far, key=lambda one: one.error_s))

    async def recall(
        self, ids: Iterable[str], tenant: str, forget: bool = False
    ) -> dict[str, KeptResponse]:
        """Those of a tenant's responses that other routers keep. `forget`: they are to be kept no
        longer."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        asked = pb.RecallRequest(nonce=nonce, tenant=tenant, ids=ids, forget=forget)
        told = await asyncio.gather(*(self._recall(one, asked) for one in self._others))
        return {one.id: KeptResponse(one.input, one.response) for found in told for one in found}

    async def _recall(self, address: str, asked: pb.RecallRequest) -> Iterable[pb.StoredResponse]:
        told = await self._ask(address, asked, lambda stub: stub.Recall)
        return () if told is None else told.found

    async def read(self, name: str, tenant: str, after: int) -> NumberedParts | None:
        """An answer that another router keeps, from the part after `after` on; None: nobody does.
        Close it."""
        for address in self._others:
            parts = self._parts(address, name, tenant, after)
            if await anext(parts, None) is not None:
                return parts
        return None

    async def _parts(self, address: str, name: str, tenant: str, after: int) -> NumberedParts:
        """Its first item only says that there are parts; nothing at all comes where there are
        none."""
        async with channel_to(address, self._token) as channel:
            asked = pb.ReadRequest(name=name, tenant=tenant, after=after)
            call = engine_pb2_grpc.PeerStub(channel).Read(
                asked, metadata=question_metadata(self._token, address, asked)
            )
            try:
                async with asyncio.timeout(ASK_S):
                    first = tuple(await call.initial_metadata())
                if KEPT not in first or not self._is_answer(first, address, asked):
                    return
                yield 0, None
                async for message in call:
                    yield message.number, part_of(message)
            except (TimeoutError, grpc.aio.AioRpcError):
                return  # the client may come back once more


def channel_to(address: str, token: str) -> grpc.aio.Channel:
    """To another router, who is to show a certificate of the cluster's if that is elsewhere."""
    if not crosses_a_wire(parts_of(address)[0]):
        return grpc.aio.insecure_channel(address, ANY_LENGTH)
    ours = identity_of(token)
    credentials = grpc.ssl_channel_credentials(ours.authority, ours.key, ours.certificate)
    options = [*ANY_LENGTH, ("grpc.ssl_target_name_override", NAME)]
    return grpc.aio.secure_channel(address, credentials, options)
