"""What is read of a step for vectors that are not of the last row."""

import math

import numpy as np
import pytest

from raylax.proto.text.pooling import How
from raylax.proto.vocabulary import Request
from raylax.worker.sampling.pooling import Pooled, StateReader, pooled_of, row_sums

RNG = np.random.default_rng(3)
STREAMS = RNG.standard_normal((9, 20)).astype(np.float32)
WEIGHT = RNG.standard_normal(20).astype(np.float32)
READER = StateReader(lambda tokens: STREAMS[tokens], WEIGHT, 1e-5)


@pytest.mark.parametrize(
    ("how", "embed", "logits_of", "pooled"),
    [
        ("mean", True, (), True),
        ("cls", True, (), True),
        ("last", True, (), False),
        ("mean", False, (), False),
        ("mean", True, (1, 2), False),
    ],
)
def test_who_needs_more_than_a_row(
    how: How, embed: bool, logits_of: tuple[int, ...], pooled: bool
) -> None:
    request = Request("r", (1, 2), 1, embed=embed, logits_of=logits_of)

    assert (pooled_of(request, how) is not None) is pooled


def test_states_are_streams_behind_the_norm() -> None:
    """Their root mean square is that of the weight."""
    found = READER.states(range(2, 5))
    want = [
        row / math.sqrt(math.fsum(x * x for x in row) / 20 + 1e-5) * WEIGHT
        for row in STREAMS[2:5].astype(np.float64)
    ]

    assert np.allclose(found, want, rtol=1e-12)


@pytest.mark.parametrize("width", [1, 2, 3, 20, 64, 577])
def test_a_row_is_added_up_whatever_its_length(width: int) -> None:
    values = RNG.standard_normal((3, width))
    before = values.copy()

    assert np.allclose(row_sums(values), before.sum(1), rtol=1e-12)
    assert (values == before).all()


@pytest.mark.parametrize("cuts", [(9,), (4, 5), (1, 1, 7), (3, 3, 3)])
def test_a_sum_is_the_same_in_any_pieces(cuts: tuple[int, ...]) -> None:
    """To the last bit; also where it began anew after some of them."""
    whole, cut, again = Pooled("mean"), Pooled("mean"), Pooled("mean")
    whole.add(READER.states(whole.wants(0, 9)), 9)
    first = 0
    for count in cuts:
        cut.add(READER.states(cut.wants(first, count)), first + count)
        first += count
    again.add(READER.states(again.wants(0, cuts[0])), cuts[0])
    again.add(READER.states(again.wants(0, 9)), 9)

    assert whole.tokens == cut.tokens == again.tokens == 9
    assert whole.total.tobytes() == cut.total.tobytes() == again.total.tobytes()


def test_the_first_token_is_read_once() -> None:
    pooled = Pooled("cls")

    assert pooled.wants(0, 4) == range(0, 1)
    pooled.add(READER.states(range(0, 1)), 4)
    assert not pooled.wants(4, 3) and not pooled.wants(0, 9)
    assert pooled.total.tobytes() == READER.states(range(0, 1))[0].tobytes()
