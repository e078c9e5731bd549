"""Proof, both ways, that a gRPC call is between routers of one cluster; the secret is not sent.

Who asks proves it for one question at one address; who answers shows it in the first metadata.
Another user who has taken the port of a router that died learns by a question nothing that opens
another door, and nobody takes what he says for an answer.
"""

import hmac
from collections.abc import Iterable

from google.protobuf.message import Message

QUESTION, ANSWER = "raylax-question", "raylax-answer"
Metadata = tuple[tuple[str, str], ...]


def question_metadata(secret: str, address: str, question: Message) -> Metadata:
    """What goes with a question to the router at an address."""
    return ((QUESTION, proof(secret, QUESTION, address, question)),)


def is_peers_question(
    metadata: Iterable[tuple[str, str | bytes]] | None, secret: str, address: str, question: Message
) -> bool:
    """Whether a router of the cluster asks this of the one at this address. Takes the same time for
    every wrong proof."""
    expected = proof(secret, QUESTION, address, question)
    return hmac.compare_digest(value_of(metadata, QUESTION), expected.encode())


def answer_metadata(secret: str, address: str, question: Message) -> Metadata:
    """What comes first with an answer to a question."""
    return ((ANSWER, proof(secret, ANSWER, address, question)),)


def is_peers_answer(
    metadata: Iterable[tuple[str, str | bytes]] | None, secret: str, address: str, question: Message
) -> bool:
    """Whether a router of the cluster answers the question."""
    expected = proof(secret, ANSWER, address, question)
    return hmac.compare_digest(value_of(metadata, ANSWER), expected.encode())


def proof(secret: str, role: str, address: str, question: Message) -> str:
    """What only who knows the secret can say of a question at an address."""
    parts = (role, address, question.DESCRIPTOR.full_name)
    content = "\0".join(parts).encode() + b"\0" + question.SerializeToString(deterministic=True)
    return hmac.digest(secret.encode(), content, "sha256").hex()


def value_of(metadata: Iterable[tuple[str, str | bytes]] | None, name: str) -> bytes:
    """The first value of this name; empty without one."""
    found = next((value for key, value in metadata or () if key == name), "")
    return found.encode() if isinstance(found, str) else found
