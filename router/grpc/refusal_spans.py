"""A call that was refused before it began, in OpenTelemetry's words for gRPC."""

import grpc

from raylax.router.access.caller import Caller
from raylax.router.grpc.errors import CALL_ID, REFUSED, Context
from raylax.router.observe.telemetry import RefusedCall

OUR_FAULT = (
    grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS,
)  # fmt: skip


def refusal_of(method: str, caller: Caller, context: Context, took_s: float) -> RefusedCall | None:
    """What is recorded of the refused call, by what its client was told; None if a call had begun,
    or if the error is none of ours."""
    said = dict(context.trailing_metadata() or ())
    if caller.span is None or "error-type" not in said or CALL_ID in said:
        return None
    name = method.removeprefix("/")
    service, _, short = name.partition("/")
    code = context.code()
    told: dict[str, str | int] = {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": short,
        "rpc.grpc.status_code": code.value[0],
    }
    if caller.tenant:
        told["raylax.tenant"] = caller.tenant
    kind = said["error-type"] if said["error-code"] == "none" else said["error-code"]
    fault = code in OUR_FAULT
    return RefusedCall(name, told, caller.span, str(kind), REFUSED.get().rule, fault, took_s)
