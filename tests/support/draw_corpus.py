"""Draws of which it is written down what came of them: all that a request may ask, and its row.

A draw follows from its number alone, by a generator whose numbers no release of numpy changes, and
by whole numbers, which have no rounding.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from raylax.proto.vocabulary import Sampling
from raylax.worker.sampling.adjustment import Logits

SMALL = range(0, 1500)
LARGE = range(10_000, 10_120)
SMALL_SIZES = 7, 16, 60, 257, 1000, 4099
LARGE_SIZES = 32_000, 49_152, 128_256, 151_936
TEMPERATURES = 0.0, 0.3, 0.7, 0.7, 1.0, 1.0, 1.3, 2.0, 1e-310, 1e-3, 50.0, 1e30
TOP_PS = 1.0, 1.0, 0.0, 1e-9, 0.1, 0.5, 0.9, 0.95, 0.999999, 1 - 2**-53
MIN_PS = 0.0, 0.0, 0.0, 0.02, 0.1, 1.0, 1e-20
SEEDS = 0, 1, 42, -1, 2**63 - 1, -(2**63), 2**64 - 1, 0x1234567890ABCDEF


class Drawing(NamedTuple):
    """A row, and what a request makes of it: `tokens` are the prompt and what was answered."""

    row: Logits
    sampling: Sampling
    choice: int
    tokens: list[int]
    prompt: int


def chosen(rng: Any, values: Sequence[Any]) -> Any:
    return values[rng.randint(len(values))]


def row_of(rng: Any, size: int) -> Logits:
    """Ties, masked tokens, both zeros, one far above all, all the same, the ends of float32,
    numbers that are none; mostly what a model says."""
    parts = rng.randint(0, 1 << 16, (4, size))
    x: Logits = (parts.sum(0) - (1 << 17)).astype(np.float32) * np.float32(2.0**-15)
    x *= np.float32(chosen(rng, (0.125, 1, 2, 4, 16)))
    kind, any_token = rng.randint(16), rng.randint(size)
    if kind in (0, 1):
        x = np.round(x)
    elif kind == 2:
        x[rng.randint(0, 2, size) == 0] = -np.inf
        x[any_token] = 1
    elif kind == 3:
        x[:] = x[0]
    elif kind in (4, 5):
        x[rng.randint(0, size, 3)] += np.float32(15)
    elif kind == 6:
        x = np.where(rng.randint(0, 2, size) == 0, 0.0, -0.0).astype(np.float32)
    elif kind == 7:
        x *= np.float32(1e36)
    elif kind == 8:
        x[:any_token] = -np.inf
    elif kind == 9:
        x[:] = -np.inf
        x[any_token] = 3
    elif kind == 10 and rng.randint(2):
        x[any_token] = chosen(rng, (np.nan, np.inf))
    elif kind == 11 and rng.randint(3) == 0:
        x[:] = -np.inf
    return x


def sampling_of(rng: Any, size: int) -> Sampling:
    """All parameters, in all combinations."""
    top_ks = 0, 0, 0, 1, 2, 20, 40, size // 2, size, size + 5, 2**40
    biases = tuple(
        (int(token), chosen(rng, (-100.0, 100.0, 1.5, -0.3, 4.0)))
        for token in sorted(set(rng.randint(0, size, 5).tolist()))
    )
    return Sampling(
        temperature=chosen(rng, TEMPERATURES),
        top_p=chosen(rng, TOP_PS),
        top_k=chosen(rng, top_ks),
        min_p=chosen(rng, MIN_PS),
        presence_penalty=chosen(rng, (0.0, 0.0, 0.6, -2.0)),
        frequency_penalty=chosen(rng, (0.0, 0.0, 0.3, -0.7)),
        repetition_penalty=chosen(rng, (1.0, 1.0, 1.1, 1.3, 0.5)),
        logit_bias=biases if rng.randint(3) == 0 else (),
        seed=chosen(rng, SEEDS),
    )


def drawing(number: int, sizes: Sequence[int]) -> Drawing:
    """The one of this number."""
    rng = np.random.RandomState(number)
    size = chosen(rng, sizes)
    sampling, row = sampling_of(rng, size), row_of(rng, size)
    likely = np.argsort(-row, kind="stable")[:9]
    said = [*rng.randint(0, size, 40), *rng.choice(likely, 20)]
    tokens = [int(token) for token in said[: rng.randint(2, 61)]]
    return Drawing(row, sampling, rng.randint(4), tokens, rng.randint(1, len(tokens)))


def corpus() -> Iterator[tuple[int, Drawing]]:
    """Every draw, and its number."""
    for numbers, sizes in ((SMALL, SMALL_SIZES), (LARGE, LARGE_SIZES)):
        for number in numbers:
            yield number, drawing(number, sizes)
