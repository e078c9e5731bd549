"""Proof, both ways, that who connects and who accepts know the group's secret.

    acceptor   challenge
    connector  Hello with a challenge of its own, HMAC(secret, "connector", challenge, Hello)
    acceptor   HMAC(secret, "acceptor", challenge, Hello)

Each proof covers both challenges and says whose it is, so that none can be used again or sent back.
Between machines all of it goes through TLS (`sealed_socket.py`), and so does what follows.
"""

import hmac
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum

from raylax.worker.comm.deadline import Deadline
from raylax.worker.comm.errors import Unreachable
from raylax.worker.comm.sealed_socket import RankSocket

CHALLENGE = PROOF = 32
HELLO = 512
"""Bytes, with the challenge, filled up with spaces."""


class Channel(StrEnum):
    """What one of the two connections between a pair of ranks is for."""

    DATA = "data"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Hello:
    """Who connects, and what for."""

    rank: int
    world: int
    channel: Channel
    address: str
    """Where this rank listens."""


class PeerRefused(Unreachable):
    """The other side does not know the secret, or will not have us."""


def introduce(
    connection: RankSocket, secret: bytes, hello: Hello, to: int, deadline: Deadline
) -> None:
    """The connector's side of the handshake; `to` is the rank that it wants to reach.

    Raises PeerRefused, CommTimeout.
    """
    challenge = read(connection, CHALLENGE, to, deadline)
    body = (os.urandom(CHALLENGE) + json.dumps(asdict(hello)).encode()).ljust(HELLO)
    with suppress(ConnectionError):  # then nothing can be read, either
        connection.sendall(body + proof_of(secret, b"connector", challenge, body))
    answer = read(connection, PROOF, to, deadline)
    if not hmac.compare_digest(answer, proof_of(secret, b"acceptor", challenge, body)):
        raise PeerRefused(f"who answers as rank {to} does not know the secret")


class IncomingPeer:
    """Who has connected, on the acceptor's side. Nothing here waits: call `receive` when something
    has come."""

    def __init__(self, connection: RankSocket) -> None:
        self.connection = connection
        self._challenge, self._heard = os.urandom(CHALLENGE), b""
        connection.setblocking(False)
        with suppress(OSError):  # who has left already is heard to
            connection.send(self._challenge)

    def receive(self, secret: bytes) -> Hello:
        """The peer's Hello, which is proved.

        Raises BlockingIOError while it has not come, PeerRefused, and OSError if the peer has left.
        """
        while len(self._heard) < HELLO + PROOF:
            heard = self.connection.recv(HELLO + PROOF - len(self._heard))
            if not heard:
                raise ConnectionResetError
            self._heard += heard
        body, proof = self._heard[:HELLO], self._heard[HELLO:]
        if not hmac.compare_digest(proof, proof_of(secret, b"connector", self._challenge, body)):
            raise PeerRefused("it does not know the secret")
        self.connection.send(proof_of(secret, b"acceptor", self._challenge, body))
        fields = json.loads(body[CHALLENGE:])
        return Hello(**fields | {"channel": Channel(fields["channel"])})


def proof_of(secret: bytes, role: bytes, challenge: bytes, body: bytes) -> bytes:
    """What only who knows the secret can answer to a challenge."""
    return hmac.digest(secret, role + challenge + body, "sha256")


def read(connection: RankSocket, size: int, rank: int, deadline: Deadline) -> bytes:
    """Exactly `size` bytes that a rank sends. Raises PeerRefused when it hangs up, CommTimeout."""
    found = b""
    while len(found) < size:
        connection.settimeout(deadline.left_s or 1e-6)
        try:
            more = connection.recv(size - len(found))
        except TimeoutError:
            raise deadline.missed_by([rank], "did not answer at the rendezvous") from None
        except BlockingIOError:  # not whole yet
            continue
        except ConnectionError:
            more = b""
        if not more:
            raise PeerRefused(f"rank {rank} hung up: is the secret the same, and are we expected?")
        found += more
    return found
