"""How long a step may take for those who decode in it, in tables of all classes."""

from itertools import product
from math import inf

import pytest

from raylax.proto.vocabulary import Priority
from raylax.worker.itl_targets import TargetsMs
from raylax.worker.scheduling.decision.targets import (
    NO_TARGETS,
    TIMES_LOW,
    TIMES_QUIET,
    Targets,
)

HIGH, NORMAL, LOW = Priority
CLASSES = [
    {one for one, there in zip(Priority, mask, strict=True) if there}
    for mask in product((True, False), repeat=3)
]
VALUES = (None, 0.0, 1e-9, 0.02, 3600.0)


@pytest.mark.parametrize(
    ("set_ms", "targets"),
    [
        ("auto", (None, None, None)),
        (0, (0, 0, 0)),
        (50, (0.05, 0.05, 0.05 * TIMES_LOW)),
        ({"high": 30, "normal": "auto", "low": 500}, (0.03, None, 0.5)),
        ({"high": 0, "normal": 0.5, "low": "auto"}, (0, 0.0005, None)),
    ],
)
def test_what_was_set_in_seconds(set_ms: TargetsMs, targets: tuple[float | None, ...]) -> None:
    """One value is for everybody, and longer for the lowest class; one of its own is as it is."""
    assert Targets.of(set_ms) == pytest.approx(targets)


@pytest.mark.parametrize(
    ("quiet_s", "set_ms", "classes", "target_s"),
    [
        (0.010, "auto", {NORMAL}, 0.010 * TIMES_QUIET),
        (0.010, "auto", {HIGH, LOW}, 0.010 * TIMES_QUIET),
        (0.010, "auto", {LOW}, 0.010 * TIMES_QUIET * TIMES_LOW),
        (0.0, "auto", {NORMAL}, inf),  # it is not known what they take
        (0.010, "auto", set(), inf),  # nobody waits for the next token
        (0.010, 0, {HIGH}, inf),
        (0.0, 50, {NORMAL}, 0.05),
        (0.9, 50, {HIGH}, 0.05),
        (0.9, 50, {LOW}, 0.05 * TIMES_LOW),
        (0.9, 50, set(), inf),
        (0.010, {"high": 30, "normal": 60, "low": 500}, {LOW}, 0.5),
        (0.010, {"high": 30, "normal": 60, "low": 500}, {NORMAL, LOW}, 0.06),
        (0.010, {"high": 30, "normal": 60, "low": 500}, {HIGH, NORMAL, LOW}, 0.03),
        (0.010, {"high": 500, "normal": 60, "low": 30}, {HIGH, NORMAL}, 0.06),  # the strictest
        (0.010, {"high": "auto", "normal": 60, "low": 0}, {HIGH, LOW}, 0.010 * TIMES_QUIET),
        (0.010, {"high": "auto", "normal": 60, "low": 0}, {LOW}, inf),
        (0.0, {"high": "auto", "normal": 60, "low": 0}, {HIGH, NORMAL}, 0.06),
    ],
)
def test_the_target_of_a_step(
    quiet_s: float, set_ms: TargetsMs, classes: set[Priority], target_s: float
) -> None:
    assert Targets.of(set_ms).for_step(quiet_s, classes) == pytest.approx(target_s)


@pytest.mark.parametrize("quiet_s", [0.0, 0.01])
def test_a_step_is_as_long_as_the_strictest_class_in_it_lets_it(quiet_s: float) -> None:
    """Of all targets for all classes that may decode: so who joins a step never makes it longer
    than it may be for those who are there."""
    for targets in map(Targets._make, product(VALUES, repeat=3)):
        alone = {one: targets.for_step(quiet_s, {one}) for one in Priority}
        for classes in CLASSES:
            there = [alone[one] for one in classes]

            assert targets.for_step(quiet_s, classes) == min(there, default=inf)
            assert targets.bind(classes) == any(targets[one] != 0 for one in classes)


def test_a_class_has_what_was_set_for_it_whatever_the_others_have() -> None:
    for targets in map(Targets._make, product(VALUES, repeat=3)):
        for one in Priority:
            alone = NO_TARGETS._replace(**{one.name.lower(): targets[one]})

            assert alone.for_step(0.01, {one}) == targets.for_step(0.01, {one})


def test_without_those_that_nobody_has_set_any_step_is_short_enough() -> None:
    targets = Targets(0.03, None, 0.5)

    assert targets.without_auto == Targets(0.03, 0.0, 0.5)
    assert targets.without_auto.for_step(0.01, {NORMAL}) == inf
    assert targets.set_for(0.5) == ["low"]
    assert Targets.of(50).set_for(0.05) == ["high", "normal"]
    assert targets.set_for(inf) == Targets.of("auto").set_for(0.025) == []
