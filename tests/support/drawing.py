"""A model that draws by itself, as those on GPUs do; its logits follow from a token and its
place."""

import numpy as np
import numpy.typing as npt

from raylax.kernels.draws.definition import DrawRule, Row, choose, key_of
from raylax.kernels.draws.rules import NO_RULE, StepDraws
from raylax.kernels.model import StepOutput
from raylax.worker.scheduling.step_plan import StepPlan
from tests.support.draws import LARGEST

VOCAB = 40


def logits_of(token: int, position: int) -> Row:
    return np.random.default_rng([token, position]).normal(0, 2, VOCAB).astype(np.float32)


def undrawn(plan: StepPlan) -> StepOutput:
    """What a model on a CPU comes to, which draws nothing."""
    batch = plan.batch
    places = zip(batch.tokens[batch.rows], batch.positions[batch.rows], strict=True)
    logits = np.array([logits_of(int(token), int(at)) for token, at in places])
    logits = logits.reshape(-1, VOCAB).astype(np.float32)
    drawn = logits.argmax(1).astype(np.int32)
    return StepOutput(logits, drawn, logits[:, :4], logits.max(1, initial=-np.inf))


def drawn(plan: StepPlan) -> StepOutput:
    """By the plan's rules. The logits of rows that have one are not to be looked at."""
    output, draws = undrawn(plan), plan.batch.draws
    if draws is not None:
        ends = draws.rules["changes"].cumsum()
        for row, (rule, end) in enumerate(zip(draws.rules, ends, strict=True)):
            if rule["position"] != NO_RULE:
                changed(output.logits[row], draws, slice(end - rule["changes"], end), rule)
                way = DrawRule(rule["scale"], rule["top_k"], rule["top_p"], rule["least"])
                key = key_of(int(rule["seed"]), int(rule["choice"]), int(rule["position"]))
                token = choose(output.logits[row], way, key)
                assert token is not None
                output.drawn[row] = token
                output.logits[row] = np.nan
    return output


def changed(row: Row, draws: StepDraws, part: slice, rule: npt.NDArray[np.void]) -> None:
    """Bias and penalties, one token after the other, in place."""
    entries = draws.ids[part], draws.biases[part], draws.counts[part]
    for token, bias, count in zip(*entries, strict=True):
        x = row[token] + bias
        if count >= 0 and (penalty := rule["repetition"]) != 1.0:
            x = np.clip(x / penalty if x > 0 else x * penalty, -LARGEST, LARGEST)
        if count > 0:
            x = x - rule["presence"] - rule["frequency"] * np.float32(count)
        row[token] = x
