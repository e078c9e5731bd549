"""Ports: free ones for what nobody sees, and clear words when a wanted one is taken."""

import errno
import socket
from contextlib import ExitStack

from raylax.cluster.errors import UserError

OF_THE_PORT = (errno.EADDRINUSE, errno.EACCES)


def check_free(host: str, port: int, flag: str) -> None:
    """Raises UserError naming the port, or the address, and the flag that changes it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or error
            if getattr(error, "errno", None) in OF_THE_PORT:
                what, change = f"port {port} on {host} cannot be used", flag
            else:
                what, change = f"{host} is no address of this machine", "--host"
            raise UserError(f"{what}: {reason}; choose another by {change}") from None


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Distinct ports that are free now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((host, 0))
        return [int(one.getsockname()[1]) for one in sockets]
