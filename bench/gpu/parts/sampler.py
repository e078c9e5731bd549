"""Draws on the device: the token of the definition (`kernels/draws`), to the last bit of its
arithmetic, alone as in a batch; bias and penalties as numpy has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from machine import Array, Machine
from part import Part, hold

from raylax.kernels.cuda.variants import sampler
from raylax.kernels.draws.definition import DrawRule, choose, key_of

RULES = tuple(product((0.0, 0.3, 1.0, 2.0), (0, 1, 20), (1.0, 0.5, 0.95), (0.0, 0.1)))
"""Temperatures, top-k, top-p, min-p."""
SMALL_RULES = ((0.0, 0, 1.0, 0.0), (1.0, 0, 1.0, 0.0), (0.7, 20, 0.9, 0.05))


def run(part: Part, machine: Machine) -> None:
    part.check("sample", lambda: draws(machine))
    part.check("adjust", lambda: adjusts(machine))
    machine.forget()


@dataclass(frozen=True)
class Rows:
    """Logits, and how each is drawn of."""

    logits: Array
    vocab: int
    rules: list[DrawRule]
    seeds: Array
    choices: Array
    positions: Array

    def expected(self) -> list[int]:
        """By the definition; -1 for what is not finite."""
        found = []
        for row, rule, *key in zip(
            self.logits, self.rules, self.seeds, self.choices, self.positions, strict=True
        ):
            one = choose(row[: self.vocab], rule, key_of(*map(int, key)))
            found.append(-1 if one is None else one)
        return found

    def given(self, machine: Machine) -> tuple[Any, ...]:
        """The arguments of a launch, put on the device; where tokens and largest logits will lie
        comes after what it is given."""
        count, stride = self.logits.shape
        columns = (
            np.array([one.scale for one in self.rules], np.float32),
            np.array([one.top_k for one in self.rules], np.int32),
            np.array([one.top_p for one in self.rules], np.float64),
            np.array([one.least for one in self.rules], np.int64),
            *(self.seeds, self.choices, self.positions),
        )
        room = machine.room(4 * count), machine.room(4 * count), machine.room(self.logits.nbytes)
        return *map(machine.put, (self.logits, *columns)), *room, self.vocab, stride

    def drawn(self, machine: Machine) -> tuple[list[int], Array]:
        """Tokens and their rows' largest logits."""
        count, given = len(self.logits), self.given(machine)
        _, sample = sampler.variants()
        machine.run(machine.kernel(sample).launch((count,), *given))
        tokens, largest = given[8:10]
        return machine.get(tokens, (count,), np.int32).tolist(), machine.get(
            largest, (count,), np.float32
        )

    def only(self, own: slice) -> "Rows":
        """Some of them."""
        rest = (one[own].copy() for one in (self.seeds, self.choices, self.positions))
        return Rows(self.logits[own].copy(), self.vocab, self.rules[own], *rest)


def rows(machine: Machine) -> Rows:
    """Of many kinds: ties, masked tokens, what is not finite."""
    small, rng = machine.small, machine.rng
    vocab, rules = (500, SMALL_RULES) if small else (128256, RULES)
    stride, count = -(-vocab // 32) * 32, len(rules) * (1 if small or machine.quick else 2) + 2
    logits = rng.standard_normal((count, stride), np.float32) * 4
    logits[1::3] = np.round(logits[1::3])
    logits[2::5, : vocab // 2] = -np.inf
    logits[-2, 3], logits[-1, 5] = np.nan, np.inf
    logits[:, vocab:] = 1e9  # nobody's
    made = [DrawRule.of(*rules[i % len(rules)]) for i in range(count)]
    seeds = rng.integers(-(2**63), 2**63 - 1, count, np.int64)
    choices, positions = (rng.integers(0, 2**20, count).astype(np.int32) for _ in range(2))
    return Rows(logits, vocab, made, seeds, choices, positions)


def draws(machine: Machine) -> str:
    batch = rows(machine)
    expected = batch.expected()
    found, largest = batch.drawn(machine)
    wrong = [i for i, (a, b) in enumerate(zip(found, expected, strict=True)) if a != b]
    hold(not wrong, f"rows {wrong[:8]} of {len(expected)} draw other tokens than the definition")
    tops = batch.logits[:-2, : batch.vocab].max(1)
    hold(np.array_equal(largest[:-2], tops), "largest logits are not the rows'")
    for own in few(len(expected), machine.small):
        alone, _ = batch.only(own).drawn(machine)
        hold(alone == expected[own], f"row {own.start} alone draws another token")
    return f"{len(expected)} rows of {batch.vocab} drawn as defined, alone and together"


def few(count: int, small: bool) -> Iterator[slice]:
    """Some rows, each by itself."""
    for i in range(0, count, count - 1 if small else 7):
        yield slice(i, i + 1)


def adjusts(machine: Machine) -> str:
    """Biases and three penalties, of rows with none, few and many entries."""
    rng, count, vocab = machine.rng, 3, 512
    stride, sizes = vocab, (0, 5, 300)
    logits = rng.standard_normal((count, stride), np.float32) * 4
    ends = np.cumsum(sizes).astype(np.int32)
    starts = (ends - sizes).astype(np.int32)
    ids = np.concatenate([rng.permutation(vocab)[:size] for size in sizes]).astype(np.int32)
    biases = rng.standard_normal(len(ids)).astype(np.float32)
    counts = rng.integers(-1, 4, len(ids)).astype(np.int32)
    penalties = [
        np.array(one, np.float32) for one in ((1.0, 1.3, 0.8), (0.0, 0.5, -0.25), (0.0, 0.1, 0.2))
    ]
    place = machine.put(logits)
    adjust, _ = sampler.variants()
    given = (place, *map(machine.put, (starts, ends, ids, biases, counts, *penalties)))
    machine.run(machine.kernel(adjust).launch((count,), *given, stride))
    found, expected = machine.get(place, logits.shape, np.float32), logits.copy()
    for row in range(count):
        own = slice(starts[row], ends[row])
        at, often = ids[own], counts[own]
        repetition, presence, frequency = (one[row] for one in penalties)
        x = expected[row, at] + biases[own]
        if repetition != 1:
            x = np.where(often >= 0, np.where(x > 0, x / repetition, x * repetition), x)
        x -= presence * (often > 0)
        x -= frequency * np.maximum(often, 0).astype(np.float32)
        expected[row, at] = x
    hold(np.array_equal(found.view(np.int32), expected.view(np.int32)), "other logits than numpy's")
    return f"{len(ids)} logits of {count} rows equal"
