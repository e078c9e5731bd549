"""Compares what a run listens on with what it is to: other machines reach the ports for clients,
and nothing else. Where machines may join they reach what Ray and we have for them, too, by TLS with
certificates at both ends; Ray binds that to every address."""

import socket
from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.startup.sockets import Address, OpenSocket, open_sockets
from raylax.cluster.supervision.processes import arguments_of
from raylax.cluster.supervision.roles import role_of
from raylax.proto.addresses import address_of


def check_open_doors(config: ClusterConfig, pids: Iterable[int]) -> None:
    """Raises UserError, which names every socket of the processes that other machines can reach and
    that is no port for clients."""
    if extra := unexpected(config, open_sockets(pids)):
        raise UserError(
            f"other machines may reach {config.host} at ports {config.port} and "
            f"{config.grpc_port} alone, and so it is not served: {'; '.join(map(said_of, extra))}"
        )


def unexpected(config: ClusterConfig, found: Iterable[OpenSocket]) -> list[OpenSocket]:
    """Those outside of this machine's own addresses that no configuration has asked for."""
    ours, ports = addresses_of(config.host), (config.port, config.grpc_port)
    for_machines = set() if config.joined_at is None else {
        IPv4Address(config.joined_at.host), IPv4Address(0), IPv6Address(0)
    }  # fmt: skip
    every = any(one.is_unspecified for one in ours)

    def is_for_clients(one: OpenSocket) -> bool:
        wanted = one.address in ours or (every and one.address.is_unspecified)
        wanted &= one.port in ports
        return one.protocol == "tcp" and (wanted or one.address in for_machines)

    return [one for one in found if not one.address.is_loopback and not is_for_clients(one)]


@cache
def addresses_of(host: str) -> set[Address]:
    """What a name stands for, or the address itself."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return {ip_address(str(where[0]).partition("%")[0]) for *_, where in found}


def said_of(found: OpenSocket) -> str:
    """The socket's address, and whose it is."""
    at = address_of(str(found.address), found.port)
    return f"{role_of(arguments_of(found.pid))} (process {found.pid}) has {found.protocol} {at}"
