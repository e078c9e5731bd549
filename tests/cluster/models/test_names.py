"""Names of models: any script outside, plain ASCII inside."""

import re

import pytest

from raylax.cluster.errors import UserError
from raylax.cluster.models.names import check_name, deployment_names

SERVED = [
    "modèle-é", "modele-e", "MODELE-E", "模型", "模式", "a b", "a/b", "a:b", "a-b", "a\\b", "🤖",
    "👩\u200d💻", "é" * 200, "é" * 199 + "e", "../..", "%2e", "#", "a_b", "model é", "m" * 256,
]  # fmt: skip


def test_inside_names_are_plain_and_differ() -> None:
    """Ray makes of them files, tags of metrics and names of actors."""
    made = deployment_names(SERVED)

    assert len({name.lower() for name in made}) == len(SERVED)
    assert all(re.fullmatch("Worker-[A-Za-z0-9-]{12,40}", name) for name in made)
    assert made[0].startswith("Worker-modele-e-")


def test_a_model_keeps_its_inside_name_when_others_come_and_go() -> None:
    """Serve would otherwise replace workers that nothing has changed for."""
    before, after = deployment_names(["a", "模型", "b"]), deployment_names(["new", "b", "模型"])

    assert before[1:] == after[:0:-1]
    assert deployment_names(["b"]) == before[2:]


@pytest.mark.parametrize("name", SERVED)
def test_any_script_may_be_served(name: str) -> None:
    check_name(name, "/models/one")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "must not be empty"),
        (" \t", "must not be empty"),
        ("a\nb", "must be characters that can be shown, found a control character, '\\n'"),
        ("a\x00", "must be characters that can be shown, found a control character, '\\x00'"),
        ("a\u2028b", "must be characters that can be shown, found a line's end, '\\u2028'"),
        ("m\udce8", "must be characters that can be shown, found half a character, '\\udce8'"),
        (" a", "must not begin or end with a space, found ' a'"),
        ("a" * 257, "must have at most 256 characters, found 257"),
    ],
)
def test_a_name_that_nobody_could_ask_for(name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_name(name, "/models/\udce8")

    assert str(caught.value) == f"served_model_name {said}; give '/models/\\udce8' another"
