"""Proof, both ways, that two ends of a connection know the cluster's secret, which is never sent.

    acceptor   a challenge
    connector  a challenge of its own, HMAC(secret, "connector", both, hello), hello
    acceptor   HMAC(secret, "acceptor", both, hello)

Whoever has taken the port of a worker that died learns no secret and hears no request: the
connector says nothing more until it has the answer. Each proof covers both challenges and says
whose it is, so that none can be used again or sent back.
"""

import hmac
import os

CHALLENGE = PROOF = 32
CONNECTOR, ACCEPTOR = b"connector", b"acceptor"


class Stranger(Exception):
    """The other end does not know the secret."""


class Introduction:
    """The connector's side of one connection."""

    def __init__(self, secret: str, hello: bytes) -> None:
        self.secret, self._hello = secret, hello
        self._challenges: bytes | None = None

    def answer_to(self, message: bytes) -> bytes | None:
        """What is to be said to a message of the acceptor's; None: it knows the secret. Raises
        Stranger if it does not."""
        if self._challenges is None:
            if len(message) != CHALLENGE:
                raise Stranger
            own = os.urandom(CHALLENGE)
            self._challenges = message + own
            return own + proof(self.secret, CONNECTOR, self._challenges, self._hello) + self._hello
        expected = proof(self.secret, ACCEPTOR, self._challenges, self._hello)
        if not hmac.compare_digest(message, expected):
            raise Stranger
        return None


class Examination:
    """The acceptor's side of one connection."""

    def __init__(self, secret: str) -> None:
        self._secret, self.challenge = secret, os.urandom(CHALLENGE)

    def answer_to(self, message: bytes) -> tuple[bytes, bytes]:
        """The hello of a connector that knows the secret, and what is to be said to it. Raises
        Stranger if it does not."""
        own, given = message[:CHALLENGE], message[CHALLENGE : CHALLENGE + PROOF]
        hello = message[CHALLENGE + PROOF :]
        challenges = self.challenge + own
        if not hmac.compare_digest(given, proof(self._secret, CONNECTOR, challenges, hello)):
            raise Stranger
        return hello, proof(self._secret, ACCEPTOR, challenges, hello)


def proof(secret: str, role: bytes, challenges: bytes, hello: bytes) -> bytes:
    """What only who knows the secret can say."""
    return hmac.digest(secret.encode(), role + challenges + hello, "sha256")
