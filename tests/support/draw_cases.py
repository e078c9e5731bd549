"""Rows, rules and keys at which every backend must draw what the definition does."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from raylax.kernels.draws.definition import DrawRule, Row, choose, key_of

TEMPERATURES = 0.0, 1e-310, 1e-3, 0.3, 1.0, 2.0, 50.0, 1e30
TOP_PS = 1.0, 1.0, 0.0, 1e-9, 0.1, 0.5, 0.9, 0.999999, 1 - 2**-53
MIN_PS = 0.0, 0.0, 0.0, 0.1, 1.0, 1e-20
SEEDS = 0, 1, -1, 2**63 - 1, -(2**63), 0x1234567890ABCDEF
POSITIONS = 0, 1, 7, 2**31 - 1


class DrawCase(NamedTuple):
    row: Row
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    seed: int
    choice: int
    position: int
    typical_p: float = 1.0

    @property
    def rule(self) -> DrawRule:
        return DrawRule.of(self.temperature, self.top_k, self.top_p, self.min_p, self.typical_p)

    @property
    def chosen(self) -> int | None:
        """What the definition says."""
        return choose(self.row, self.rule, key_of(self.seed, self.choice, self.position))


def row_of(rng: np.random.Generator, size: int) -> Row:
    """Of one of the kinds that have gone wrong somewhere: ties, masked tokens, both zeros, one
    token far above all, all the same, the ends of float32, and numbers that are none."""
    kind = rng.integers(11)
    x = rng.standard_normal(size).astype(np.float32) * np.float32(rng.choice([0.1, 1, 4, 20]))
    any_token = int(rng.integers(size))
    if kind in (0, 1):
        x = np.round(x)
    elif kind == 2:
        x[rng.random(size) < 0.5] = -np.inf
        x[any_token] = 1
    elif kind == 3:
        x[:] = x[0]
    elif kind == 4:
        x[any_token] += 15
    elif kind == 5:
        x = np.where(rng.random(size) < 0.5, 0.0, -0.0).astype(np.float32)
    elif kind == 6:
        x *= np.float32(1e36)
    elif kind == 7:
        x[:any_token] = -np.inf
    elif kind == 8 and rng.random() < 0.5:
        x[any_token] = rng.choice([np.nan, np.inf])
    return x


def draw_cases(count: int, sizes: tuple[int, ...], seed: int = 0) -> Iterator[DrawCase]:
    """So many cases, the same ones for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        size = int(rng.choice(sizes))
        yield DrawCase(
            row_of(rng, size),
            float(rng.choice(TEMPERATURES)),
            int(rng.choice([0, 0, 1, 2, 7, size // 2, size, size + 5])),
            float(rng.choice(TOP_PS)),
            float(rng.choice(MIN_PS)),
            int(rng.choice(SEEDS)),
            int(rng.integers(5)),
            int(rng.choice(POSITIONS)),
        )


def golden_row() -> Row:
    """A row of 60 logits with ties, without a generator that a release may change."""
    return (np.arange(60) * 7919 % 101 % 37).astype(np.float32) / np.float32(8)


GOLDEN = [
    (DrawRule.of(1.0, 0, 1.0, 0.0), [46, 8, 50, 46, 13, 59, 27, 55, 8, 23, 14, 32]),
    (DrawRule.of(0.5, 0, 0.9, 0.0), [46, 51, 50, 46, 13, 18, 19, 55, 19, 23, 14, 32]),
    (DrawRule.of(1.5, 20, 0.95, 0.05), [46, 8, 50, 46, 13, 18, 27, 55, 8, 23, 14, 32]),
]
"""What is drawn of it with seed 42, choice 1, at positions 0 to 11: the draws of a release are
those of the next."""
