"""What listens is what was asked for."""

import os
import socket
from ipaddress import ip_address

import pytest

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.startup.open_doors import check_open_doors, unexpected
from raylax.cluster.startup.sockets import OpenSocket

HTTP, GRPC, OTHER = 8000, 9000, 40_000


def at(address: str, port: int, protocol: str = "tcp") -> OpenSocket:
    return OpenSocket(protocol, ip_address(address), port, os.getpid())


def config(host: str, **more: str) -> ClusterConfig:
    return ClusterConfig.model_validate({"host": host, "port": HTTP, "grpc_port": GRPC, **more})


@pytest.mark.parametrize(
    ("found", "may_be"),
    [
        (at("10.1.2.3", OTHER), True),
        (at("0.0.0.0", OTHER), True),  # so does Ray, by TLS with certificates at both ends
        (at("::", OTHER), True),
        (at("10.1.2.4", OTHER), False),
        (at("10.1.2.3", OTHER, "udp"), False),
        (at("0.0.0.0", OTHER, "udp"), False),
    ],
)
def test_where_machines_may_join_more_is_open(found: OpenSocket, may_be: bool) -> None:
    several = config("127.0.0.1", cluster="10.1.2.3", cluster_secret="/secret")

    assert (unexpected(several, [found]) == []) == may_be


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("127.0.0.1", at("127.0.0.1", HTTP)),
        ("127.0.0.1", at("127.0.0.1", OTHER)),
        ("127.0.0.1", at("::1", OTHER)),
        ("localhost", at("127.0.0.1", GRPC)),
        ("0.0.0.0", at("0.0.0.0", HTTP)),
        ("0.0.0.0", at("0.0.0.0", GRPC)),
        ("0.0.0.0", at("::", GRPC)),  # gRPC takes each of the two for both
        ("::", at("::", HTTP)),
        ("10.1.2.3", at("10.1.2.3", GRPC)),
    ],
)
def test_the_ports_for_clients_and_this_machines_own_may_be_open(
    host: str, found: OpenSocket
) -> None:
    assert unexpected(config(host), [found]) == []


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("127.0.0.1", at("0.0.0.0", HTTP)),
        ("127.0.0.1", at("::", GRPC)),
        ("127.0.0.1", at("10.1.2.3", OTHER)),
        ("0.0.0.0", at("0.0.0.0", OTHER)),
        ("0.0.0.0", at("0.0.0.0", HTTP, "udp")),
        ("10.1.2.3", at("0.0.0.0", HTTP)),
        ("10.1.2.3", at("10.1.2.4", HTTP)),
        ("0.0.0.0", at("0.0.0.0", OTHER, "udp")),
    ],
)
def test_nothing_else_may_be_reached_from_outside(host: str, found: OpenSocket) -> None:
    assert unexpected(config(host), [at("127.0.0.1", OTHER), found]) == [found]


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_process_with_another_door_is_named(kind: socket.SocketKind) -> None:
    """With its address and port, before anybody is served."""
    with socket.socket(socket.AF_INET, kind) as door:
        door.bind(("0.0.0.0", 0))
        if kind == socket.SOCK_STREAM:
            door.listen()
        protocol, port = ("tcp", "udp")[kind == socket.SOCK_DGRAM], door.getsockname()[1]
        with pytest.raises(UserError) as told:
            check_open_doors(config("0.0.0.0"), [os.getpid()])

    assert f"helper (process {os.getpid()}) has {protocol} 0.0.0.0:{port}" in str(told.value)
    assert "at ports 8000 and 9000 alone" in str(told.value)


def test_a_question_by_udp_is_no_door() -> None:
    """A socket that is connected takes nothing from strangers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", 9))
        check_open_doors(config("127.0.0.1"), [os.getpid()])
