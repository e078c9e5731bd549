"""Somebody on the same network: a cluster that serves every address, and what else listens."""

import grpc

from attacks.house import House
from attacks.report import Attack, Broken
from raylax.cluster.startup.sockets import listening

GARBAGE = b"\xff\xff\xff\xff\x00"
CHECKS = (
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)


def finds_another_door(house: House) -> str:
    """Only the two ports that were asked for listen outside loopback."""
    open_to_all = {port for address, port in listening(house.pids()) if not address.is_loopback}
    if extra := open_to_all - {house.port, house.grpc_port}:
        raise Broken(f"these listen, too: {', '.join(map(str, sorted(extra)))}")
    return f"{len(open_to_all)} ports outside loopback"


def sends_garbage_by_grpc(house: House) -> str:
    """What is no message is INVALID_ARGUMENT, with every service."""
    said = []
    with grpc.insecure_channel(f"127.0.0.1:{house.grpc_port}") as channel:
        for method in CHECKS:
            call = (
                channel.stream_stream(method) if "Info" in method else channel.unary_unary(method)
            )
            try:
                answer = call(iter([GARBAGE]) if "Info" in method else GARBAGE, timeout=10)
                list(answer) if "Info" in method else None
                said.append("OK")
            except grpc.RpcError as error:
                said.append(error.code().name)  # type: ignore[attr-defined]
    if set(said) - {"INVALID_ARGUMENT", "UNAUTHENTICATED"}:
        raise Broken(", ".join(said))
    return ", ".join(said)


ATTACKS: list[Attack] = [finds_another_door, sends_garbage_by_grpc]
