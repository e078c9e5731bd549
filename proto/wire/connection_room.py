"""How many of a port's connections one source may have, by HTTP and by gRPC alike."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network

THIS_MACHINE = "this machine"
"""All of its loopback addresses together: any user of it has millions of them."""


@dataclass(frozen=True, slots=True)
class ConnectionRoom:
    """How many connections there may be."""

    clients: int

    @property
    def of_this_machine(self) -> int:
        """For this machine's own addresses: often another proxy, with all of its clients."""
        return self.clients * 3 // 4

    @property
    def of_an_address(self) -> int:
        """For any other address; in IPv6 for a network of 64 bits, which one client may have."""
        return max(1, self.clients // 8)

    @property
    def when_crowded(self) -> int:
        """For any other address while three quarters are taken."""
        return max(1, self.clients // 32)

    @property
    def crowd(self) -> int:
        return self.clients * 3 // 4

    def of(self, source: str, taken: int) -> int:
        """For a source, while so many are taken by all."""
        if source == THIS_MACHINE:
            return self.of_this_machine
        return self.when_crowded if taken > self.crowd else self.of_an_address


@lru_cache(4096)
def source_of(host: str) -> str:
    """Who counts as one: an address, a network of 64 bits in IPv6, or this machine."""
    address = ip_address(host.partition("%")[0])
    if address.version == 6:
        if (mapped := address.ipv4_mapped) is not None:
            address = mapped
        elif not address.is_loopback:
            return str(ip_network((address, 64), strict=False))
    return THIS_MACHINE if address.is_loopback else str(address)
