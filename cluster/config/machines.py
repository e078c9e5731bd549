"""The address by which a machine of a cluster is reached by the others, as it is typed."""

from ipaddress import IPv4Address
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

from raylax.proto.addresses import address_of

PORT = 7000
"""Where a cluster lets machines in, unless another one is said."""
UNTAKEN = IPv4Address("127.0.0.1")
"""Ray puts the outward address in its place."""


class Place(NamedTuple):
    """Where machines join."""

    host: str
    port: int

    def __str__(self) -> str:
        return address_of(*self)


def place_of(text: str) -> Place:
    """Of 10.0.0.2, or 10.0.0.2:7000. Raises ValueError for what other machines cannot reach."""
    host, colon, port = text.partition(":")
    return Place(machine_of(host, text), port_of(port, text) if colon else PORT)


def machine_of(host: str, text: str | None = None) -> str:
    """The address of one machine, alone. Raises ValueError."""
    try:
        address = IPv4Address(host)
    except ValueError:
        address = None
    if address is None or address.is_unspecified or address.is_multicast or address == UNTAKEN:
        raise ValueError(
            "must be the address of IPv4 by which other machines reach this one, as 10.0.0.2, "
            f"found {text or host!r}"
        )
    return str(address)


def port_of(port: str, text: str) -> int:
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise ValueError(f"must end with a port from 1 to 65535, as 10.0.0.2:{PORT}, found {text}")
    return int(port)


MachinePlace = Annotated[str, AfterValidator(lambda text: str(place_of(text)))]
"""A setting, with its port."""
