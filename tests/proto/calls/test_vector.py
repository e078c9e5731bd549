"""A vector without a model: its length and its end."""

import pytest

from raylax.proto.calls.vector import Vector, normalised
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
