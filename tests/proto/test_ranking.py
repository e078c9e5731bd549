"""Who has most, whatever changes in between."""

import random

import pytest

from raylax.proto.ranking import Ranking


def ranking(**values: float) -> Ranking:
    made = Ranking()
    for name, value in values.items():
        made.set(name, value)
    return made


def test_the_first_has_most() -> None:
    made = ranking(alice=1, bob=5, carol=3)
    assert made.first == "bob"
    made.set("bob", 2)
    assert made.first == "carol"
    made.discard("carol")

    assert made.first == "bob"


def test_of_equals_the_one_that_was_there_first() -> None:
    made = ranking(bob=5, alice=5)
    assert made.first == "bob"
    made.discard("bob")
    made.set("bob", 5)

    assert made.first == "alice"


def test_nobody_is_first_of_none() -> None:
    with pytest.raises(ValueError, match="nobody has any"):
        ranking().first  # noqa: B018


def test_it_is_what_a_look_at_all_would_find() -> None:
    """After any changes, however seldom one asks; and what it keeps is bounded by the names."""
    rng, made, values = random.Random(5), Ranking(), dict[str, float]()
    for _ in range(5000):
        name = rng.choice("abcdefgh")
        if rng.random() < 0.2:
            made.discard(name)
            values.pop(name, None)
        else:
            values[name] = rng.randrange(50)
            made.set(name, values[name])
        if values and rng.random() < 0.5:
            assert values[made.first] == max(values.values())
            assert len(made._heap) <= 3 * len("abcdefgh") + 16
    assert len(made) == len(values)
