"""Both ends of a connection show that they know the secret, and neither says it."""

import pytest

from raylax.proto.wire.introduction import CHALLENGE, PROOF, Examination, Introduction, Stranger

SECRET, HELLO = "the cluster's secret", b"hello, I am a router"


def introduced(connector: str, acceptor: str) -> tuple[bytes, list[bytes]]:
    """The hello that arrives, and all that was said."""
    introduction, examination = Introduction(connector, HELLO), Examination(acceptor)
    asked = introduction.answer_to(examination.challenge)
    assert asked is not None
    hello, shown = examination.answer_to(asked)
    assert introduction.answer_to(shown) is None
    return hello, [examination.challenge, asked, shown]


@pytest.mark.parametrize("secret", [SECRET, "", "\u00e9", "x" * 1000])
def test_who_knows_the_secret_is_heard(secret: str) -> None:
    hello, said = introduced(secret, secret)

    assert hello == HELLO
    assert secret == "" or secret.encode() not in b"".join(said)


@pytest.mark.parametrize("other", ["", "the cluster's secre", "the cluster's secret "])
def test_who_has_another_secret_is_a_stranger(other: str) -> None:
    """On either side: the acceptor finds out first."""
    for connector, acceptor in ((SECRET, other), (other, SECRET)):
        with pytest.raises(Stranger):
            introduced(connector, acceptor)


@pytest.mark.parametrize("at", [0, CHALLENGE, CHALLENGE + PROOF, -1])
def test_a_changed_byte_is_a_stranger(at: int) -> None:
    """Of the challenge, the proof or the hello."""
    introduction, examination = Introduction(SECRET, HELLO), Examination(SECRET)
    asked = bytearray(introduction.answer_to(examination.challenge) or b"")
    asked[at] ^= 1

    with pytest.raises(Stranger):
        examination.answer_to(bytes(asked))


@pytest.mark.parametrize("size", [0, 1, CHALLENGE, CHALLENGE + PROOF])
def test_too_few_bytes_are_a_stranger(size: int) -> None:
    with pytest.raises(Stranger):
        Examination(SECRET).answer_to(bytes(size))
    with pytest.raises(Stranger):
        introduction = Introduction(SECRET, HELLO)
        introduction.answer_to(bytes(CHALLENGE))
        introduction.answer_to(bytes(size))


def test_what_was_said_once_says_nothing_again() -> None:
    """Neither to another end, nor back to who said it."""
    _, (challenge, asked, shown) = introduced(SECRET, SECRET)
    with pytest.raises(Stranger):
        Examination(SECRET).answer_to(asked)
    again = Introduction(SECRET, HELLO)
    mine = again.answer_to(challenge) or b""

    for reply in (shown, mine[CHALLENGE : CHALLENGE + PROOF]):
        with pytest.raises(Stranger):
            again.answer_to(reply)
