"""Fields that a .proto file has not are warned of, or mistakes, in both services."""

from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from raylax.proto.pb import raylax_pb2
from raylax.proto.pb import vllm_engine_pb2 as pb
from raylax.router.grpc.unknown_fields import MOST_MESSAGES, NAMED_BYTES, decoded
from tests.support.router_rig import Rig, a_router, channel

UNKNOWN = b"\xf8\x3f\x05"  # field 1023 is 5
ASK = raylax_pb2.ChatRequest(
    messages=[raylax_pb2.Message(role="user", content="hi")],
    sampling=raylax_pb2.Sampling(max_tokens=2),
)
GENERATE = pb.GenerateRequest(
    tokenized=pb.TokenizedInput(input_ids=[5, 6]), sampling_params=pb.SamplingParams(max_tokens=2)
)
TEXT = raylax_pb2.EmbedRequest.Input(text="a")
CALLS: list[tuple[str, Message]] = [
    ("/raylax.v1.Raylax/Chat", ASK),
    (
        "/raylax.v1.Raylax/Embed",
        raylax_pb2.EmbedRequest(inputs=[TEXT]),
    ),
    ("/vllm.grpc.engine.VllmEngine/Generate", GENERATE),
    ("/vllm.grpc.engine.VllmEngine/GetLoads", pb.GetLoadsRequest()),
]


def with_unknown(message: Message, inside: str) -> bytes:
    """The message with a field that its .proto file has not, in it or in a message inside."""
    made = type(message).FromString(message.SerializeToString())
    getattr(made, inside).MergeFromString(UNKNOWN) if inside else made.MergeFromString(UNKNOWN)
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("message", "inside", "at"),
    [
        (ASK, "", "1023"),
        (ASK, "sampling", "sampling.1023"),
        (GENERATE, "sampling_params", "sampling_params.1023"),
        (GENERATE, "tokenized", "tokenized.1023"),
    ],
)
def test_it_is_named_by_where_it_was(message: Message, inside: str, at: str) -> None:
    request, unknown = decoded(type(message).FromString, with_unknown(message, inside))
    name = message.DESCRIPTOR.full_name

    assert request == message
    assert [tuple(one) for one in unknown] == [
        (at, f"{at}: unknown field of {name}, by its number")
    ]


def test_in_each_message_of_a_list_it_is_one() -> None:
    raw = ASK.SerializeToString() + (b"\x12\x03" + UNKNOWN) * 3  # three more messages

    assert [one.at for one in decoded(raylax_pb2.ChatRequest.FromString, raw).unknown] == [
        "messages.1023"
    ]


def test_an_entry_of_a_map_is_one_if_anything_in_it_is() -> None:
    raw = b"\x1a\x07\x42\x05\x08\x05" + UNKNOWN  # a bias

    request, unknown = decoded(raylax_pb2.ChatRequest.FromString, raw)

    assert request == raylax_pb2.ChatRequest(sampling=raylax_pb2.Sampling())
    assert [one.at for one in unknown] == ["sampling.8"]


@pytest.mark.parametrize(
    "raw",
    [
        UNKNOWN * NAMED_BYTES,
        b"\x12\x00" * (2 * MOST_MESSAGES) + b"\x12\x03" + UNKNOWN,
    ],
    ids=["too many", "too deep in a list"],
)
def test_where_it_is_not_looked_for_it_is_noticed(raw: bytes) -> None:
    """Naming takes time, which a client could make long."""
    ((at, said),) = decoded(raylax_pb2.ChatRequest.FromString, raw).unknown

    assert at is None
    assert said.endswith("bytes are unknown fields of raylax.v1.ChatRequest")


@pytest.mark.parametrize(("method", "message"), CALLS, ids=[method for method, _ in CALLS])
async def test_a_client_is_warned_or_refused(rig: Rig, method: str, message: Message) -> None:
    """As over HTTP, by the same setting."""
    raw, said = with_unknown(message, ""), "1023: unknown field of "
    settings = replace(rig.service.config, strict_fields=True)

    async def ask(address: str) -> dict[str, Any]:
        async with channel(address) as made:
            stub: Any = made.unary_stream(method)
            call = stub(raw)
            async for _ in call:
                pass
            return dict(await call.trailing_metadata())

    async with a_router(settings, rig.workers) as strict:
        told = await ask(rig.grpc_address)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(strict.grpc_address)

    assert told["warnings"].startswith(said) and told["warnings"].endswith("; it is ignored")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (caught.value.details() or "").startswith(said)
    assert dict(caught.value.trailing_metadata())["error-param"] == "1023"
