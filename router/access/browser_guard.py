"""Keeps web pages out of a cluster that asks nobody for a key.

A browser on this machine asks whatever a page tells it to, and loopback is no wall against it. What
a page cannot do is choose the headers by which the browser says where it asks (`Host`) and on whose
behalf (`Origin`, `Sec-Fetch-Site`); nor may it send JSON to others without asking first.
"""

import re
import socket
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from raylax.proto.errors import Forbidden, InvalidRequest, UnsupportedMediaType, shown

Headers = Callable[[str], list[str]]
"""Gives all values of a header by its name, which is in lower case."""
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^][:@/?#\\\s]+)(:(?P<port>\d{0,5}))?")
ANY = "*"
DEFAULT_PORTS = {"http": 80, "https": 443}
JSON = "application/json"


class BrowserGuard:
    """The names by which this cluster may be asked, and the pages that may ask."""

    def __init__(
        self,
        host: str,
        allowed_hosts: Sequence[str] = (),
        origins: Sequence[str] = (),
        hostname: Callable[[], str] = socket.gethostname,
        needed: Callable[[], bool] = lambda: True,
    ) -> None:
        """`host`: the address or name that is listened on. `origins`: as `cors_origins`. The
        machine's own `hostname` is accepted where others than this machine are heard. `needed`:
        whether nobody is asked for a key now; else the guard lets everybody pass."""
        self.needed = needed
        names = {"localhost", plain(host), *map(plain, allowed_hosts)}
        self._any_address = host == "" or is_unspecified(host)
        if not is_loopback(plain(host)):
            names.add(plain(hostname()))
        self._names, self._origins = frozenset(names), frozenset(origins)

    def check(self, headers: Headers, http_version: str) -> None:
        """Raises Forbidden for a foreign Host or Origin, and InvalidRequest for a Host that can be
        read in two ways."""
        if not self.needed():
            return
        hosts = headers("host")
        if len(hosts) > 1 or (not hosts and http_version != "1.0"):
            raise InvalidRequest(f"Host: must be there once, found {len(hosts)}", param="Host")
        if hosts and not self.accepts_host(hosts[0]):
            raise Forbidden(
                f"Host: without keys it must be localhost, a loopback address, what `host` says or "
                f"one of `allowed_hosts`, found {shown(hosts[0])}; add its name to `allowed_hosts` "
                f"in the configuration, or have keys",
                param="Host",
            )
        self._check_origin(headers, hosts[0] if hosts else "")

    def accepts_host(self, value: str) -> bool:
        """Whether a Host is one by which this cluster may be asked, at any port."""
        if ANY in self._names:
            return True
        parts = HOST.fullmatch(value.strip().lower())
        if parts is None:
            return False
        name = plain(parts["name"])
        return name in self._names or is_loopback(name) or (self._any_address and is_address(name))

    def _check_origin(self, headers: Headers, host: str) -> None:
        """Raises Forbidden for a request that a page of another origin has caused, if it is not one
        of `origins`."""
        origins = headers("origin")
        if ANY in self._origins or (len(origins) == 1 and origins[0] in self._origins):
            return
        remedy = "add the page's origin to `cors_origins` in the configuration, or have keys"
        if any(not same_origin(origin, host) for origin in origins):
            raise Forbidden(
                f"Origin: without keys a page may ask only where it came from, or must be one of "
                f"`cors_origins`, found {shown(', '.join(origins))}; {remedy}",
                param="Origin",
            )
        if "cross-site" in (site.strip().lower() for site in headers("sec-fetch-site")):
            raise Forbidden(
                f"Sec-Fetch-Site: without keys other sites may not ask, found cross-site; {remedy}",
                param="Sec-Fetch-Site",
            )


def require_json(headers: Headers) -> None:
    """Raises UnsupportedMediaType for a body that is not said to be JSON: a page could have sent it
    without asking first. For what changes the cluster, where there are no keys."""
    kinds = [kind.partition(";")[0].strip().lower() for kind in headers("content-type")]
    if kinds != [JSON]:
        raise UnsupportedMediaType(
            f"without keys, what changes the cluster wants a JSON body, {{}} for instance, with "
            f"Content-Type: {JSON}, found {shown(', '.join(kinds)) if kinds else 'none'}",
            param="Content-Type",
        )


def plain(name: str) -> str:
    """A name in lower case, without brackets and without the dot that ends a whole domain name; an
    address in its usual spelling."""
    bare = name.strip().lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        return str(ip_address(bare))
    except ValueError:
        return bare


def is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether a name from `plain` means this machine alone."""
    return name == "localhost" or (is_address(name) and ip_address(name).is_loopback)


def is_unspecified(host: str) -> bool:
    """Whether it means every address of the machine."""
    name = plain(host)
    return is_address(name) and ip_address(name).is_unspecified


def same_origin(origin: str, host: str) -> bool:
    """Whether a page of this origin was served under this Host. `null`, which stands for many
    pages, never was."""
    try:
        page = urlsplit(origin.strip().lower())
        port = page.port or DEFAULT_PORTS[page.scheme]
    except (ValueError, KeyError):
        return False
    parts = HOST.fullmatch(host.strip().lower())
    if parts is None or not page.hostname or origin.count("/") != 2:
        return False
    asked = int(parts["port"] or DEFAULT_PORTS[page.scheme])
    return (plain(page.hostname), port) == (plain(parts["name"]), asked)
