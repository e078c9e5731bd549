"""Law 4. A rank keeps weights and pages only: given the same plans, any rank does the same."""

from pathlib import Path

import numpy as np

from raylax.kernels.cpu.model import load_model
from raylax.kernels.model import StepOutput
from raylax.kernels.options import ModelOptions
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.ranks.rank import Rank
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan


def test_two_ranks_agree_on_every_plan(checkpoint: Path) -> None:
    """The first is driven by an engine; the second sees the plans alone, each of them twice.

    A plan run again writes the same keys to the same slots, so only state beyond weights and pages
    could tell the two runs apart.
    """
    options = ModelOptions(
        "q0f32", threads=1, max_step_tokens=32, max_step_rows=4, max_sequence_length=128
    )
    first, second = (Rank(load_model(checkpoint, options, pages=32)) for _ in range(2))
    plans: list[StepPlan] = []
    outputs: list[np.ndarray] = []

    def run(plan: StepPlan) -> StepOutput:
        output = first.run(plan)
        assert output is not None
        plans.append(plan)
        outputs.append(output.logits.copy())
        return output

    batch = Batch(Roster(PagePool(32)), StepLimits(tokens=32, sequences=4), run)
    for i in range(6):
        prompt = tuple(range(10 + i, 50 + i))
        batch.roster.add(Sequence(Request(f"r{i}", prompt, 10, Sampling(temperature=1.0, seed=i))))
    while not batch.roster.idle:
        batch.step()

    for plan, want in zip(plans, outputs, strict=True):
        for _ in range(2):
            output = second.run(plan)
            assert output is not None and np.array_equal(output.logits, want)
    assert len(plans) > 10
