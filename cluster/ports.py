"""Ports: free ones for what nobody sees, and clear words when a wanted one is taken."""

import errno
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from raylax.cluster.errors import UserError

LOWEST = 10_000
OF_THE_PORT = (errno.EADDRINUSE, errno.EACCES)


def check_free(host: str, port: int, flag: str) -> None:
    """Raises UserError naming the port, or the address, and the flag that changes it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            if getattr(error, "errno", None) in OF_THE_PORT:
                what, change = f"port {port} on {host} cannot be used", flag
            else:
                what = f"{host} is no address of this machine"
                change = "--host" if flag.endswith("port") else flag
            raise UserError(f"{what}: {reason}; choose another by {change}") from None


@contextmanager
def held(host: str, ports: tuple[int, ...]) -> Iterator[None]:
    """Nobody else's, also while none of ours listens there: who took the port of a server that has
    died would be shown keys and prompts. Servers of this user may listen if they share it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        for port in ports:
            holder = stack.enter_context(socket.socket(family))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # not SO_REUSEADDR, by
            with suppress(OSError):  # which others could; connections of before may be in the way
                holder.bind((host, port))
        yield


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Distinct ports that are free now, and likely to be so when they are used some seconds later:
    the system gives none of them to who asks for any, as every connection does."""
    found: list[int] = []
    for port in random.sample(range(LOWEST, first_ephemeral_port()), LOWEST):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"{host} has fewer than {count} free ports from {LOWEST} on")


def first_ephemeral_port() -> int:
    """The lowest port that the system gives to whoever connects and does not ask for one."""
    try:
        return max(
            2 * LOWEST, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        )
    except (OSError, ValueError):
        return 32768
