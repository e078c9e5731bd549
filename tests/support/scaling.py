"""Looks at a model's workers and routers, for tests of the autoscaler."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from raylax.cluster.autoscaling.receipt import Receipt
from raylax.cluster.autoscaling.rule import EVERY_S, ScalingRule
from raylax.cluster.autoscaling.snapshot import Snapshot, Targets
from raylax.proto.vocabulary import StepTime

PACE = StepTime(0.008, 50e-6, 40e-6, 50e-9)
"""The study's: an 8B model on one GPU."""
TARGETS = Targets(1.0, 0.075)
PROMPT, ANSWER = 1000.0, 200.0

QUIET = Snapshot(
    now=0.0, dt=EVERY_S, arrived=0, prompt=0, cached=0, done=0, done_out=0, ready=1, decoding=0,
    context=0, todo=0, queued=0, queued_tokens=0, busy=False, target=1, pace=PACE,
    step_tokens=2048, start_s=10.0, least=1, most=40,
)  # fmt: skip
"""One worker, and nobody."""


def looks(
    rate: Callable[[float], float], seconds: float, start_s: float = 10.0, workers: int = 1
) -> Iterator[Snapshot]:
    """A look every EVERY_S while `rate(now)` requests come in a second and end at once: what the
    targets leave of the workers is no part of it."""
    base = replace(QUIET, start_s=start_s, ready=workers, target=workers)
    for number in range(int(seconds / EVERY_S)):
        now = number * EVERY_S
        count = rate(now) * EVERY_S
        yield replace(
            base, now=now, arrived=count, prompt=count * PROMPT, done=count, busy=count > 0,
            done_out=count * ANSWER, decoding=count, context=count * (PROMPT + ANSWER / 2),
        )  # fmt: skip


def decided(rule: ScalingRule, seen: Iterator[Snapshot]) -> list[Receipt]:
    """Each decision, obeyed at once."""
    receipts: list[Receipt] = []
    for look in seen:
        target = receipts[-1].choice if receipts else look.target
        receipts.append(rule.decide(replace(look, target=target, ready=target)))
    return receipts
