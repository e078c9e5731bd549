"""How long draws take, of rows of an 8B model's logits."""

from typing import Any

import numpy as np
from floor import Floor
from machine import Array, Machine
from part import Part

from parts.sampler import Rows
from raylax.kernels.cuda.variants import sampler
from raylax.kernels.draws.definition import DrawRule

RULES = {
    "greedy": DrawRule.of(0.0, 0, 1.0, 0.0),
    "temperature": DrawRule.of(0.7, 0, 1.0, 0.0),
    "top-p": DrawRule.of(0.7, 0, 0.95, 0.0),
    "top-k": DrawRule.of(0.7, 40, 1.0, 0.0),
}
BATCHES = (1, 64, 256)


def run(part: Part, machine: Machine) -> None:
    floor = Floor.of(part.so_far)
    for count in BATCHES[:1] if machine.small else BATCHES:
        some = machine.rng.standard_normal((min(count, 16), machine.kit.timed.vocab), np.float32)
        logits = np.resize(some * 4, (count, some.shape[1]))
        for name, rule in RULES.items():
            part.figure(
                f"sample {name} {count}", lambda r=rule, x=logits: figure(machine, floor, r, x), 0.5
            )
            machine.forget()


def figure(machine: Machine, floor: Floor, rule: DrawRule, logits: Array) -> dict[str, Any]:
    count, vocab = logits.shape
    numbers = np.arange(count)
    rows = Rows(logits, vocab, [rule] * count, numbers, *(numbers.astype(np.int32),) * 2)
    _, sample = sampler.variants()
    launch = machine.kernel(sample).launch((count,), *rows.given(machine))
    took = machine.time([launch] * (1 if machine.small else 8))
    return floor.told(took, logits.nbytes)
