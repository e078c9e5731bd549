"""A question and its answer show the secret for themselves alone, and never say it."""

from typing import NamedTuple

import pytest

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.wire.peer_proof import (
    ANSWER,
    QUESTION,
    answer_metadata,
    is_peers_answer,
    is_peers_question,
    question_metadata,
)

SECRET, ADDRESS = "the cluster's secret", "127.0.0.1:4000"
ASKED = pb.ReadRequest(name="chat", tenant="alice", after=3)


class Case(NamedTuple):
    secret: str = SECRET
    address: str = ADDRESS
    asked: pb.ReadRequest | pb.TellRequest = ASKED

    def __str__(self) -> str:
        return f"{self.secret}, {self.address}, {self.asked!r}".replace("\n", " ")


OTHERS = [
    Case(secret="another"),
    Case(secret=""),
    Case(address="127.0.0.1:4001"),
    Case(asked=pb.ReadRequest(name="chat", tenant="bob", after=3)),
    Case(asked=pb.ReadRequest(name="chat", tenant="alice", after=4)),
    Case(asked=pb.TellRequest(call_id="chat", tenant="alice")),
]


def test_a_proof_is_taken() -> None:
    asked = question_metadata(SECRET, ADDRESS, ASKED)
    answer = answer_metadata(SECRET, ADDRESS, ASKED)

    assert is_peers_question(asked, SECRET, ADDRESS, ASKED)
    assert is_peers_answer(answer, SECRET, ADDRESS, ASKED)
    assert SECRET not in str((asked, answer))


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_it_is_none_for_anything_else(other: Case) -> None:
    """Another secret, another router, another question."""
    asked = question_metadata(SECRET, ADDRESS, ASKED)
    answer = answer_metadata(SECRET, ADDRESS, ASKED)

    assert not is_peers_question(asked, other.secret, other.address, other.asked)
    assert not is_peers_answer(answer, other.secret, other.address, other.asked)


def test_a_question_said_back_is_no_answer() -> None:
    ((_, proof),) = question_metadata(SECRET, ADDRESS, ASKED)

    assert not is_peers_answer(((ANSWER, proof),), SECRET, ADDRESS, ASKED)


@pytest.mark.parametrize(
    "metadata",
    [None, (), ((QUESTION, ""),), ((QUESTION, "\u00e9"),), ((QUESTION, b"\xff"),), (("x", "y"),)],
    ids=repr,
)
def test_without_a_proof_it_is_none(metadata: tuple[tuple[str, str | bytes], ...] | None) -> None:
    assert not is_peers_question(metadata, SECRET, ADDRESS, ASKED)
