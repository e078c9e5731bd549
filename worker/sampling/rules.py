"""How the rows of a step are drawn, in the numbers that samplers compute with: those of models that
draw by themselves, and our own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from raylax.kernels.draws.definition import MASK, DrawRule
from raylax.kernels.draws.rules import MOST_CHANGES, NO_RULE, RULE, StepDraws
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.adjustment import Adjustment, is_adjusted, is_constrained, joined

MOST = 2**31 - 1


def is_plain_greedy(sampling: Sampling) -> bool:
    """Whether the largest raw logit is the answer: the compiled argmax has it already."""
    return sampling.greedy and not is_adjusted(sampling)


def rule(drawn: DrawRule, *rest: float) -> bytes:
    """As an element of RULE; `rest`: what follows in it."""
    least = drawn.scale, min(drawn.top_k, MOST), drawn.top_p, drawn.least
    return np.array((*least, *rest), RULE).tobytes()


PLAIN = rule(DrawRule(0.0, 0, 1.0, 0), 0, 0, NO_RULE, 1.0, 0.0, 0.0, 0)
"""Of rows whose largest logit is taken."""


def rule_of(request: Request) -> bytes:
    """How a request's tokens are drawn, but for their position and what is changed before."""
    sampling = request.sampling
    if is_plain_greedy(sampling):
        return PLAIN
    drawn = DrawRule.of(sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p)
    key = sampling.seed & MASK, min(request.choice, MOST), 0
    penalties = sampling.repetition_penalty, sampling.presence_penalty, sampling.frequency_penalty
    return rule(drawn, *key, *penalties, 0)


def models_rule_of(request: Request, own: bytes) -> bytes | None:
    """The same for a model that draws by itself. None: its logits are looked at, and drawn from,
    where the request is: a vector is wanted, or log-probabilities beside logits that are changed,
    or numbers that no kernel holds."""
    sampling = request.sampling
    if request.embed or request.choice > MOST:
        return None
    if sampling.top_logprobs is not None and is_adjusted(sampling):
        return None
    if is_constrained(sampling) or sampling.typical_p < 1.0:
        return None
    return own


class Row(NamedTuple):
    """A row of a step, from which a token may be drawn."""

    rule: bytes | None
    position: int
    """Of the answer."""
    adjustment: Adjustment
    """Told of the tokens so far."""


def draws_of(rows: Sequence[Row]) -> StepDraws | None:
    """None if no row has a rule, as in a batch of greedy answers."""
    if all(row.rule is None or row.rule is PLAIN for row in rows):
        return None
    positions = [NO_RULE if row.rule in (None, PLAIN) else row.position for row in rows]
    changes, changed, room = [0] * len(rows), list[Adjustment](), MOST_CHANGES
    for i, row in enumerate(rows):
        if positions[i] >= 0 and row.adjustment.active:
            if (count := len(row.adjustment)) > room:
                positions[i] = NO_RULE
            else:
                changed.append(row.adjustment)
                changes[i], room = count, room - count
    told = [PLAIN if at < 0 else row.rule or PLAIN for row, at in zip(rows, positions, strict=True)]
    rules = np.frombuffer(bytearray(b"".join(told)), RULE)
    rules["position"], rules["changes"] = positions, changes
    return StepDraws(rules, *joined(changed))
