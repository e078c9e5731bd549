"""The call for the vectors by which texts are scored, and for the logits of labels."""

import uuid
from collections.abc import Sequence

from raylax.proto.calls.call import Call
from raylax.proto.calls.vector import Vector
from raylax.proto.frontend import Frontend
from raylax.proto.openai.scores import ClassifyRequest, PairFields
from raylax.proto.vocabulary import CallOrigin

Prompts = Sequence[Sequence[int]]


def vectors_call(
    frontend: Frontend,
    body: PairFields | ClassifyRequest,
    inputs: Prompts,
    fields: Sequence[str],
    origin: CallOrigin,
    logits_of: tuple[int, ...] = (),
) -> Call:
    """A vector of each input, as `RequestMaker.embedded` has it. Raises InvalidRequest."""
    call_id = f"{body.prefix}{uuid.uuid4().hex}"
    requests = frontend.requests.embedded(call_id, inputs, fields, body, origin, logits_of)
    return Call(call_id, requests, [Vector(at) for at in range(len(requests))], "embeddings")
