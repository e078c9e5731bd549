"""A vector without a model: its length and its end."""

import math

import pytest

from raylax.proto.calls.vector import Vector, cosine, normalised, preferred
from raylax.proto.vocabulary import Delta, Finish


def test_a_vector_has_length_one_whatever_its_order() -> None:
    """Its sum of squares is rounded once, so that no order of adding can show."""
    values = [float.fromhex("0x1.2p-3"), 3.0, -1e-20, 1e10, 0.1]
    turned = normalised(values[::-1])[::-1]

    assert normalised(values) == turned
    assert normalised([3.0, 4.0]) == pytest.approx((0.6, 0.8))
    assert normalised([0.0, 0.0]) == (0.0, 0.0)


def test_a_vector_ends_once() -> None:
    """Its only event is its end."""
    vector = Vector(3)
    began = vector.feed(Delta("a", began=True))
    event = vector.feed(Delta("a", finish=Finish.STOP, embedding=(0.6, 0.8), cached_tokens=16))
    again = vector.feed(Delta("a", finish=Finish.ABORT))

    assert (began, again) == (None, None)
    assert event is not None and (event.choice, event.finish_reason) == (3, "stop")
    assert (vector.values, vector.cached_tokens) == ((0.6, 0.8), 16)


def test_a_cosine_is_that_of_the_angle() -> None:
    one, other = normalised([3.0, 4.0]), normalised([4.0, 3.0])

    assert cosine(one, other) == pytest.approx(24 / 25)
    assert cosine(one, one) == pytest.approx(1)


@pytest.mark.parametrize("by", [0.0, 1.5, -1.5, 1000.0, -1000.0])
def test_a_preference_is_a_probability(by: float) -> None:
    """Both words' come to one, however far their logits are apart."""
    yes, no = preferred(2.0 + by, 2.0), preferred(2.0, 2.0 + by)

    assert yes + no == pytest.approx(1)
    assert yes == pytest.approx(1 / (1 + math.exp(-by)) if abs(by) < 100 else float(by > 0))
