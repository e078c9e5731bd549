"""A machine that wants to join, at the door of the first one."""

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from pydantic import ValidationError

from raylax.cluster.config.machines import Place
from raylax.cluster.errors import UserError
from raylax.cluster.membership.lines import Lines, keep_asking
from raylax.cluster.membership.said import Hello, Welcome, own_versions
from raylax.proto.wire.cluster_tls import context_of

PATIENCE_S = 10.0


class NobodyThere(UserError):
    """At that address no cluster answers: not yet, or no more."""


class Visit(NamedTuple):
    """What was heard at the door, which stays open."""

    lines: Lines
    welcome: Welcome
    ahead_s: float
    """How far this machine's clock is before the first one's."""
    address: str
    """This machine's, by which the others reach it."""


def visit(
    place: Place,
    secret: str,
    address: str | None,
    versions: dict[str, str] | None = None,
    clock: Callable[[], float] = time.time,
) -> Visit:
    """Asks to join. `address`: this machine's; else the one by which it reaches the door. Raises
    UserError: NobodyThere where waiting may help."""
    with ExitStack() as until_it_is_over:
        plain = until_it_is_over.enter_context(connected(place))
        own = address or plain.getsockname()[0]
        said = Hello(versions=own_versions() if versions is None else versions, address=own)
        lines = Lines(until_it_is_over.enter_context(understood(plain, place, secret)))
        try:
            asked = clock()
            lines.write(said.model_dump_json())
            welcome = Welcome.model_validate_json(lines.read())
        except (OSError, ValidationError):
            raise UserError(
                f"{place} knows the secret and yet lets nobody in: it is another version of "
                "raylax, or ends"
            ) from None
        ahead_s = (asked + clock()) / 2 - welcome.time_s
        keep_asking(lines.socket)
        until_it_is_over.pop_all()
        return Visit(lines, welcome, ahead_s, own)


def connected(place: Place) -> socket.socket:
    """Raises NobodyThere."""
    try:
        return socket.create_connection(place, PATIENCE_S)
    except OSError as error:
        raise NobodyThere(
            f"no cluster is at {place}: {error.strerror or error}; `raylax serve --cluster "
            f"{place}` on that machine starts one"
        ) from None


def understood(plain: socket.socket, place: Place, secret: str) -> ssl.SSLSocket:
    """The same connection, with somebody at its end who has the secret. Raises UserError."""
    try:
        return context_of(secret, accepts=False).wrap_socket(plain, server_hostname=place.host)
    except ssl.SSLCertVerificationError:
        raise UserError(
            f"{place} has another secret: the file must be a copy of the first machine's, which "
            "its cluster_secret names"
        ) from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise UserError(f"what is at {place} is no cluster of raylax: {reason}") from None
