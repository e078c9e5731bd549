"""Streams beside long prompts, on machines that are clocks: they move by what a step takes, which
is learned from steps that differ by a twentieth."""

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from raylax.kernels.model import StepOutput
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.decision.targets import NO_TARGETS, Targets
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.counting_model import Clock, ask, count

SHORT, LONG = 32, 3500
AUTO = Targets.of("auto")


@dataclass(frozen=True)
class Machine:
    """Seconds for a step, a row that decodes, a prefill token, a pair of a token and one that it
    looks at, and a token in the pages that are read."""

    step: float
    row: float
    token: float
    pair: float
    read: float
    later: float
    """So many times what full steps take is the first token of a long prompt: a half more where
    steps share nothing, and more where much is read again for each chunk."""
    most: int = 512
    """Tokens of a step."""

    def quiet(self, length: int) -> float:
        """Of a step with one stream of this length."""
        return self.step + self.row + self.read * length

    def alone(self, length: int) -> float:
        """Of a prompt of this length in full steps, beside nobody."""
        steps = -(-length // self.most)
        read = self.read * (length + steps * self.most / 2) * steps / 2
        return self.step * steps + read + self.token * length + self.pair * length**2 / 2

    def seconds(self, plan: StepPlan) -> float:
        batch = plan.batch
        counts = (batch.query_starts[1:] - batch.query_starts[:-1]).tolist()
        seconds = self.step
        for tokens, length in zip(counts, batch.kv_lengths.tolist(), strict=True):
            seconds += self.read * length
            if tokens == 1:
                seconds += self.row
            else:
                seconds += self.token * tokens + self.pair * tokens * (length - tokens / 2)
        return seconds


MACHINES = {
    "0.5B in bf16 on two cores": Machine(0.036, 8e-4, 3.1e-3, 4e-7, 1e-6, 1.8),
    "135M in 4 bits on two cores": Machine(0.004, 7e-4, 4.5e-4, 3.5e-7, 1e-6, 3.3),
    "8B on a GPU": Machine(0.008, 4e-5, 5e-5, 0, 5e-8, 1.8, most=2048),
}


@dataclass
class Rig:
    """An engine on a machine, that says when each token came."""

    machine: Machine
    targets: Targets
    came: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock, self.rng = Clock(), random.Random(1)
        limits = StepLimits(self.machine.most, 16, itl_s=self.targets)
        self.batch = Batch(Roster(PagePool(4096), self.clock), limits, self.run)

    def run(self, plan: StepPlan) -> StepOutput:
        self.clock.now += self.machine.seconds(plan) * self.rng.uniform(0.95, 1.05)
        return count(plan)

    def ask(self, id: str, prompt: int, answer: int) -> None:
        tokens = tuple(self.rng.choices(range(1, 100), k=prompt))
        self.batch.roster.add(ask(id, tokens, answer))
        self.came[id] = []

    def step(self) -> None:
        for delta in self.batch.step():
            self.came[delta.request_id] += [self.clock.now] * len(delta.token_ids)

    def beside(self, prompts: int) -> tuple[float, float]:
        """Of a stream beside so many long prompts the 99th percentile of its gaps, each over what a
        step takes that has nobody else; and seconds until the last one's first token."""
        self.ask("first", 1000, 1)
        while not self.came["first"]:
            self.step()
        self.ask("talks", SHORT, 5000)
        for _ in range(200):
            self.step()
        begun = self.clock.now
        for number in range(prompts):
            self.ask(f"long{number}", LONG, 1)
        while not all(self.came[f"long{number}"] for number in range(prompts)):
            self.step()
        gaps = sorted(
            (b - a) / self.machine.quiet(SHORT + at)
            for at, (a, b) in enumerate(pairwise(self.came["talks"]))
            if b >= begun
        )
        return gaps[int(0.99 * len(gaps))], self.clock.now - begun

    def busy(self) -> float:
        """Seconds for requests, 16 of which are always there."""
        begun, asked = self.clock.now, 0
        while asked < 96 or not self.batch.roster.idle:
            if asked < 96 and len(self.batch.roster.running) + len(self.batch.roster.waiting) < 16:
                self.ask(f"busy{asked}", 256, 64)
                asked += 1
            else:
                self.step()
        return self.clock.now - begun


@pytest.mark.parametrize("prompts", [1, 4])
@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_a_stream_keeps_its_pace(machine: Machine, prompts: int) -> None:
    """Within three times its quiet one, where full steps would be many times that; and the last
    first token of the prompts comes no later than it has to."""
    full, before = Rig(machine, NO_TARGETS).beside(prompts)
    cut, after = Rig(machine, AUTO).beside(prompts)

    assert full > 9
    assert cut <= 3
    assert after <= machine.later * before


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_a_busy_engine_is_as_fast_as_with_full_steps(machine: Machine) -> None:
    """Where many wait for their first tokens, they go before the pace of a few."""
    assert Rig(machine, AUTO).busy() * 0.97 <= Rig(machine, NO_TARGETS).busy()


@pytest.mark.parametrize("prompt", [1, SHORT, 300])
@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_an_engine_that_knows_no_pace_stalls_no_stream_either(
    machine: Machine, prompt: int
) -> None:
    """Whatever it has computed of prompts: it learns what decodes take alone, begins with a small
    chunk, and chunks grow. From the first one on a stream keeps its pace."""
    rig = Rig(machine, AUTO)
    rig.ask("talks", prompt, 2000)
    rig.step()
    rig.ask("long", LONG, 1)
    while not rig.came["long"]:
        rig.step()
    gaps = [b - a for a, b in pairwise(rig.came["talks"])]

    assert max(gaps) < 3.2 * machine.quiet(prompt + len(gaps))
    assert rig.clock.now - 100 <= 1.2 * machine.later * machine.alone(LONG)
