"""A tenant's small requests beside another's thousand calls: in a real batch, on a clock that goes
on by what a step would take."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Priority, Request, Sampling, StepTime
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.outputs import saying

VOCAB, SEATS, CALLS = 97, 64, 1000
CPU, GPU = StepTime(0.01, 0.0005, 0.001, 1e-7), StepTime(0.015, 5e-6, 2e-5, 1e-9)


@dataclass
class Engine:
    """A batch, and the time."""

    pace: StepTime
    pages: int
    step_tokens: int
    now: float = 0.0
    computed: int = 0
    first_at: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=count)
    greedy: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        limits = StepLimits(self.step_tokens, SEATS)
        self.batch = Batch(Roster(PagePool(self.pages), lambda: self.now), limits, self.run)
        self.rng = np.random.default_rng(3)

    def run(self, plan: StepPlan) -> StepOutput:
        counts = np.diff(plan.batch.query_starts)
        decodes = counts == 1
        context = int(plan.batch.kv_lengths[decodes].sum())
        prefill = int(counts[~decodes].sum())
        self.seconds.append(self.pace.seconds(prefill, int(decodes.sum()), context))
        self.now += self.seconds[-1]
        self.computed += len(plan.batch.tokens)
        return saying((plan.batch.tokens[plan.batch.rows] + 1) % VOCAB, VOCAB)

    def ask(self, tenant: str, length: int, answer: int, priority: Priority) -> str:
        id, prompt = f"{tenant}{next(self.ids)}", self.rng.integers(0, VOCAB, length).tolist()
        greedy = Sampling(temperature=0.0)
        request = Request(id, tuple(prompt), answer, greedy, tenant=tenant, priority=priority)
        self.batch.roster.add(Sequence(request))
        return id

    def step(self) -> None:
        for delta in self.batch.step():
            self.first_at.setdefault(delta.request_id, self.now)
            if delta.finish is not None:
                self.greedy.discard(delta.request_id)


@dataclass(frozen=True)
class Scene:
    """What the greedy tenant asks for, of which engine."""

    pace: StepTime = CPU
    pages: int = 8000
    step_tokens: int = 1024
    prompt: int = 50
    answer: int = 150
    priority: Priority = Priority.NORMAL
    steps: int = 120

    def engine(self) -> Engine:
        return Engine(self.pace, self.pages, self.step_tokens)

    def alone_s(self) -> float:
        """Until the first token of a small request, with nobody else there."""
        engine = self.engine()
        id = engine.ask("small", 30, 2, Priority.NORMAL)
        engine.step()
        return engine.first_at[id]

    def played(self, every: int | None) -> tuple[Engine, list[float]]:
        """The engine, and how long the small requests took that came in the middle of each such
        step."""
        engine, came = self.engine(), dict[str, float]()
        for number in range(self.steps):
            while len(engine.greedy) < CALLS:
                id = engine.ask("greedy", self.prompt, self.answer, self.priority)
                engine.greedy.add(id)
            begun = engine.now
            engine.step()
            if every and number % every == 0 and 20 <= number < self.steps - 5:
                id = engine.ask("small", 30, 2, Priority.NORMAL)
                came[id] = (begun + engine.now) / 2
        return engine, [engine.first_at[id] - at for id, at in came.items()]


SCENES = {
    "cpu": Scene(),
    "gpu": Scene(GPU),
    "long prompts": Scene(prompt=2000, answer=10, steps=60),
    "few pages": Scene(pages=400),
    "steps as small as can be": Scene(step_tokens=SEATS),
    "of a high class": Scene(priority=Priority.HIGH),
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_a_small_request_does_not_wait(scene: Scene) -> None:
    """Its first token comes within three times of its time alone, and a step; what all get done
    together is as much as before."""
    alone_s = scene.alone_s()
    undisturbed, _ = scene.played(every=None)
    engine, waits_s = scene.played(every=20)

    usual_s = statistics.median(undisturbed.seconds[20:])
    assert len(waits_s) >= 2
    assert max(waits_s) <= 3 * alone_s + max(usual_s, scene.pace.a)
    before = undisturbed.computed / undisturbed.now
    assert engine.computed / engine.now >= 0.95 * before


def test_a_steady_tenant_costs_no_throughput() -> None:
    """However often it asks: short steps take their rest."""
    scene = SCENES["cpu"]
    (undisturbed, _), (engine, _) = scene.played(every=None), scene.played(every=2)

    assert engine.batch.counters.preemptions > 0
    assert engine.computed / engine.now >= 0.95 * undisturbed.computed / undisturbed.now
