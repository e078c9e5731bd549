"""Hosts and ports, as they are written together and taken apart again."""


def address_of(host: str, port: int) -> str:
    """The two as "host:port", with brackets around a host of IPv6."""
    return f"{url_host(host)}:{port}"


def parts_of(address: str) -> tuple[str, int]:
    """Host and port of what `address_of` made. Raises ValueError for what has no port."""
    host, _, port = address.rpartition(":")
    return bare_host(host), int(port)


def url_host(host: str) -> str:
    """The host as URLs have it: in brackets if it is of IPv6."""
    return f"[{host}]" if ":" in host else host


def bare_host(host: str) -> str:
    """The host as sockets want it."""
    return host.removeprefix("[").removesuffix("]")
