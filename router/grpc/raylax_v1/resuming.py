"""Answers of raylax.v1 that outlive their clients.

They are kept where those of the HTTP API are, which consist of bytes, but under names of their own.
"""

from collections.abc import AsyncGenerator

from raylax.proto.errors import InvalidRequest
from raylax.proto.pb import raylax_pb2 as pb
from raylax.router.access.durations import positive_seconds
from raylax.router.resume.peers import NumberedParts

Reply = pb.ChatReply | pb.GenerateReply


def ttl_s(request: pb.ChatRequest | pb.GenerateRequest) -> float | None:
    """The seconds for which the answer shall outlive its client; None: it ends with that. Raises
    InvalidRequest for one that comes at its end alone, and for what no other router could tell."""
    if not request.HasField("resume_ttl_s"):
        return None
    picks = isinstance(request, pb.GenerateRequest) and request.HasField("best_of")
    told = {"best_of": picks, "prompt_logprobs": request.sampling.HasField("prompt_logprobs")}
    for field, asked in told.items():
        if asked:
            raise InvalidRequest(f"{field}: not of an answer with resume_ttl_s", param=field)
    return positive_seconds("resume_ttl_s", request.resume_ttl_s)


async def numbered(parts: NumberedParts) -> AsyncGenerator[Reply]:
    """The replies, each with its number in it. Close it when its client has left."""
    try:
        async for number, reply in parts:
            reply.sequence = number
            yield reply
    finally:
        await parts.aclose()


def name(call_id: str) -> str:
    """The name under which the answer to a call is kept."""
    return f"grpc:{call_id}"
