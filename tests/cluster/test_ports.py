"""A port or address that cannot be used is named, with the flag that changes it."""

import socket

import pytest

from raylax.cluster.errors import UserError
from raylax.cluster.ports import check_free, free_ports


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError) as caught:
            check_free("127.0.0.1", port, "--grpc-port")

    assert str(caught.value) == (
        f"port {port} on 127.0.0.1 cannot be used: Address already in use; "
        "choose another by --grpc-port"
    )


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_a_port_in_use_on_an_address_of_ipv6(host: str) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} on {host} cannot be used: Address al"):
            check_free(host, port, "--port")
    check_free(host, port, "--port")


def test_a_port_in_use_on_every_address() -> None:
    """Serving on all addresses needs the port on each."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} on 0.0.0.0"):
            check_free("0.0.0.0", port, "--port")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "1:2", "a..b"])
def test_an_address_of_somebody_else(host: str) -> None:
    """Another port would not help."""
    (port,) = free_ports(1)
    with pytest.raises(UserError, match=f"{host} is no address of this machine: .*--host"):
        check_free(host, port, "--port")


def test_looking_leaves_the_port_free() -> None:
    (port,) = free_ports(1)
    check_free("127.0.0.1", port, "--port")
    check_free("127.0.0.1", port, "--port")
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_a_port_can_be_taken_again_at_once() -> None:
    """By whoever starts anew, although the kernel remembers the last connection for a while."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with socket.create_connection((host, port)) as client:
            server.accept()[0].close()
            client.recv(1)

    check_free(host, port, "--port")


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(20))) == 20
