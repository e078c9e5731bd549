"""Seconds of a step, learned from steps whose truth is known."""

import random
from collections.abc import Iterator

import pytest

from raylax.proto.vocabulary import StepTime
from raylax.worker.scheduling.pace.step_time import StepTimeModel

TRUE = StepTime(a=4e-3, b=2e-4, c=6e-4, d=8e-7)
Step = tuple[int, int, int, float]


def steps(
    count: int, true: StepTime = TRUE, noise: float = 0.1, stalls: float = 0.0, most: int = 32
) -> Iterator[Step]:
    """Batches of all sizes, a fifth of them with a prefill."""
    rng = random.Random(count)
    for _ in range(count):
        decoding = rng.randint(1, most)
        context = sum(rng.randint(10, 2000) for _ in range(decoding))
        prefill = rng.randint(1, 256) if rng.random() < 0.2 else 0
        seconds = true.seconds(prefill, decoding, context) * rng.uniform(1 - noise, 1 + noise)
        yield prefill, decoding, context, seconds + 2.0 * (rng.random() < stalls)


def learned(*many: Iterator[Step]) -> StepTimeModel:
    model = StepTimeModel()
    for some in many:
        for step in some:
            model.learn(*step)
            assert min(model.value.a, model.value.b, model.value.c, model.value.d) >= 0.0
    return model


def slower(times: float) -> StepTime:
    return StepTime(TRUE.a * times, TRUE.b * times, TRUE.c * times, TRUE.d * times)


def errors(found: StepTime, true: StepTime = TRUE, most: int = 32) -> list[float]:
    """Relative, for a few steps without and with a prefill."""
    batches = [(p, n, n * 500) for p in (0, 200) for n in (1, 4, 16, 32) if n <= most]
    return [abs(found.seconds(*one) / true.seconds(*one) - 1.0) for one in batches]


def test_nothing_is_known_in_the_beginning() -> None:
    assert StepTimeModel().value == StepTime()


def test_the_constants_are_found() -> None:
    """To some percent, though no step tells the truth better than to a tenth."""
    found = learned(steps(1000)).value

    for name in "abcd":
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), rel=0.12), name
    assert max(errors(found)) < 0.05


def test_without_noise_they_are_exact() -> None:
    found = learned(steps(2000, noise=0.0)).value

    for name in "abcd":
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), rel=0.01), name


@pytest.mark.parametrize("times", [0.3, 0.5, 2.0, 5.0])
def test_a_change_is_followed(times: float) -> None:
    """A neighbour takes a core, or leaves it: within three hundred steps the engine knows."""
    found = learned(steps(1000), steps(300, slower(times))).value

    assert max(errors(found, slower(times))) < 0.1


@pytest.mark.parametrize("kind", [0, 100])
def test_one_stalled_step_is_hardly_believed(kind: int) -> None:
    """Of any kind: two seconds instead of some milliseconds."""
    model = learned(steps(1000))
    model.learn(kind, 8, 8000, 2.0)

    assert max(errors(model.value)) < 0.12


def test_many_stalls_shift_it_a_little() -> None:
    """Each is a hundred times as long as it should be, and one step of a hundred is one."""
    assert max(errors(learned(steps(1000, stalls=0.01)).value)) < 0.15


def test_the_same_batch_for_long_spoils_nothing() -> None:
    """It says nothing of other sizes: what was known of them stays."""
    rng = random.Random(1)
    same = [(0, 8, 8 * (1000 + i % 2000)) for i in range(10_000)]
    long = ((*one, TRUE.seconds(*one) * rng.uniform(0.9, 1.1)) for one in same)

    assert max(errors(learned(steps(1000), long).value)) < 0.12


def test_one_sequence_alone_tells_what_it_can() -> None:
    """Its own pace; most of it is thought to be the fixed cost, and the others are soon learned."""
    rng = random.Random(2)
    alone = [(0, 1, 50 + i) for i in range(1000)]
    model = learned((*one, TRUE.seconds(*one) * rng.uniform(0.9, 1.1)) for one in alone)

    assert max(errors(model.value, most=1)[:1]) < 0.1
    assert 0.5 < model.value.seconds(0, 8, 4000) / TRUE.seconds(0, 8, 4000) < 1.0
    for step in steps(40):
        model.learn(*step)
    assert max(errors(model.value)) < 0.15


def test_a_prefill_is_learned_after_decodes() -> None:
    """At once, however much longer it is than all that was seen."""
    model = StepTimeModel()
    for _ in range(100):
        model.learn(0, 1, 100, 5e-3)
    model.learn(512, 0, 0, 1.0)

    assert model.value.seconds(512, 0, 0) == pytest.approx(1.0, rel=0.01)


def test_a_clock_that_stands_still_teaches_nothing() -> None:
    model = StepTimeModel()
    model.learn(0, 1, 100, 0.0)
    model.learn(10, 0, 0, 0.0)

    assert model.value == StepTime()


def test_less_than_nothing_is_nothing() -> None:
    """Steps that get shorter with more sequences would have a negative slope."""
    model = StepTimeModel()
    for i in range(200):
        n = 1 + i % 10
        model.learn(0, n, 100 * n, 20e-3 - 1e-3 * n)

    assert (model.value.c, model.value.d) == (0.0, 0.0)
    assert model.value.a == pytest.approx(14.5e-3, rel=0.1)
