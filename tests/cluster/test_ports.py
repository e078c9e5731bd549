"""A port or address that cannot be used is named, with the flag that changes it."""

import os
import socket
import subprocess

import pytest

from raylax.cluster.errors import UserError
from raylax.cluster.ports import check_free, free_ports, held
from raylax.cluster.startup.sockets import listening

NOBODY = 65534


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


TAKE = """
import socket, sys
taken = socket.socket()
taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
taken.bind((sys.argv[1], int(sys.argv[2])))
taken.listen()
"""


def takes(host: str, port: int, user: int | None = None) -> bool:
    """Whether another process, of another user if one is named, can listen and share there."""
    command = ["/usr/bin/env", "python3", "-c", TAKE, host, str(port)]
    done = subprocess.run(command, user=user, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0 or "Address already in use" in done.stderr, done.stderr
    return done.returncode == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_held_is_no_other_users(host: str) -> None:
    """Also while nobody listens; servers of ours come and go there."""
    (port,) = free_ports(1)
    free = takes("127.0.0.1", port, NOBODY)
    with held(host, (port,)):
        theirs, ours = takes("127.0.0.1", port, NOBODY), takes(host, port)
        heard = [found for _, found in listening([os.getpid()])]
    free_again = takes("127.0.0.1", port, NOBODY)

    assert (free, theirs, ours, free_again) == (True, False, True, True)
    assert port not in heard


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_a_port_is_held_again_after_connections() -> None:
    """Those of a server of ours that has ended are still there for a minute."""
    (port,) = free_ports(1)
    with held("127.0.0.1", (port,)), socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        client = socket.create_connection(("127.0.0.1", port))
        server.accept()[0].close()
        client.close()
    with held("127.0.0.1", (port,)):
        assert not takes("127.0.0.1", port, NOBODY)


def test_who_holds_a_port_answers_nobody() -> None:
    (port,) = free_ports(1)
    with held("127.0.0.1", (port,)), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


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
