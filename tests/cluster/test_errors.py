"""What a user is told is a line that a terminal can show, whoever wrote the value in it."""

import pytest

from raylax.cluster.errors import MOST_CHARACTERS, ClusterLost, UserError


@pytest.mark.parametrize("kind", [UserError, ClusterLost])
def test_a_line_stays_one_and_short(kind: type[UserError]) -> None:
    said = str(kind("model: " + "x" * 10**6 + " is not known"))

    assert said.startswith("model: x") and said.endswith("x is not known")
    assert "999020 more characters" in said and len(said) < MOST_CHARACTERS + 50


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("caf\udce9.json", r"caf\udce9.json"),
        ("‮txt", r"\u202etxt"),
        ("größer als 日本", "größer als 日本"),
    ],
)
def test_what_is_not_printed_is_escaped(text: str, said: str) -> None:
    assert str(UserError(text)) == said
    said.encode()
