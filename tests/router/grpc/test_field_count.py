"""A message of more fields than the event loop can bear is refused before any of them is made."""

import random
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import DecodeError, Message

from raylax.proto.pb import raylax_pb2 as pb
from raylax.router.grpc.field_count import MOST_FIELDS, check_fields, fields_in
from tests.support.router_rig import Rig, channel
from tests.support.stalls import measured

KIND = pb.ChatRequest.DESCRIPTOR
MIB = 1 << 20
LONGEST_S = 0.25
"""Of the event loop, on a machine that others use. It was 1.7 s."""
TRIES = 3
"""A core that others use, too, takes longer for the same."""


def fields_of(message: Message) -> Iterator[None]:
    """Something for each field that a message has, in it or within."""
    for field, value in message.ListFields():
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if is_map:
            for _ in value:
                yield from [None] * 3  # an entry with its key and its value
            continue
        values: Any = value if field.is_repeated else [value]
        if field.is_repeated and field.is_packed:
            values = values[:1]
        for one in values:
            yield None
            if field.message_type is not None:
                yield from fields_of(one)


def a_message(rng: random.Random) -> pb.ChatRequest:
    """With fields of all kinds, and text in which anything may stand."""

    def text() -> str:
        return "".join(map(chr, rng.choices(range(300), k=rng.randrange(300))))

    made = pb.ChatRequest(model=text(), timeout_s=rng.random(), explain=rng.random() < 0.5)
    for _ in range(rng.randrange(5)):
        message = made.messages.add(role=text(), content=text())
        for _ in range(rng.randrange(4)):
            message.tool_calls.add(id=text(), arguments_json=text())
    for _ in range(rng.randrange(9)):
        made.sampling.logit_bias[rng.randrange(1, 1 << 32)] = 1 + rng.random()
    made.sampling.stop_token_ids.extend(rng.choices(range(1 << 30), k=rng.randrange(50)))
    made.sampling.seed = rng.randrange(1, 1 << 64)
    made.documents_json.extend(text() for _ in range(rng.randrange(3)))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_fields_are_counted_as_protobuf_has_them(seed: int) -> None:
    message = a_message(random.Random(seed))
    raw = message.SerializeToString()

    assert fields_in(raw, KIND) == len(list(fields_of(message)))
    assert fields_in(raw, KIND, most=3) == 4


@pytest.mark.parametrize("seed", range(20))
def test_damage_ends_the_count(seed: int) -> None:
    """It is found by whoever makes a message of it."""
    rng = random.Random(seed)
    raw = bytearray(a_message(rng).SerializeToString())
    for _ in range(3):
        raw[rng.randrange(len(raw))] = rng.randrange(256)

    assert 0 < fields_in(bytes(raw[: rng.randrange(1, len(raw))]), KIND) <= len(raw)


@pytest.mark.parametrize("raw", [b"", b"\xff" * MIB, b"\x10" + b"\xff" * MIB, b"\x12\xff\xff\x7f"])
def test_what_never_ends_takes_no_time(raw: bytes) -> None:
    assert fields_in(raw, KIND) == bool(raw)


def test_a_long_text_is_one_field() -> None:
    """Whatever stands in it; and so are ids, which are packed."""
    text = pb.ChatRequest(messages=[pb.Message(content="\x12\0" * MIB)]).SerializeToString()
    ids = pb.GenerateRequest(tokens=pb.TokenIds(ids=range(1 << 18))).SerializeToString()
    check_fields(text, KIND)
    check_fields(ids, pb.GenerateRequest.DESCRIPTOR)

    with pytest.raises(DecodeError, match=f"may have {MOST_FIELDS} fields"):
        check_fields(b"\x12\0" * MIB, KIND)


MANY = {
    "messages": ("/raylax.v1.Raylax/Chat", b"\x12\0"),
    "tool calls": ("/raylax.v1.Raylax/Chat", b"\x12\x02\x1a\0"),
    "inputs": ("/raylax.v1.Raylax/Embed", b"\x12\0"),
    "unknown ones": ("/raylax.v1.Raylax/ListModels", b"\x12\0"),
    "of gateways": ("/vllm.grpc.engine.VllmEngine/Generate", b"\x5a\0"),
    "names": ("/vllm.grpc.engine.VllmEngine/Abort", b"\x0a\0"),
}


@pytest.mark.parametrize("name", MANY)
async def test_others_go_on_meanwhile(rig: Rig, name: str) -> None:
    method, field = MANY[name]
    raw = field * (4 * MIB // len(field) - 8)
    async with channel(rig.grpc_address) as made:
        ask: Any = made.unary_stream(method)
        tries = list[float]()
        while len(tries) < TRIES and min(tries, default=1.0) >= LONGEST_S:
            with measured() as stalls, pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in ask(raw):
                    pass
            tries.append(stalls.longest_s)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"may have {MOST_FIELDS} fields" in (caught.value.details() or "")
    assert min(tries) < LONGEST_S
