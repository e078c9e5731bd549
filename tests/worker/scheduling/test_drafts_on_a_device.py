"""Drafts where a device draws by itself: each of its rows is drawn as if it came in its turn (law
1), and steps are decided ahead while nothing is drafted."""

from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from itertools import count as ticks

import pytest

from raylax.kernels.draws.rules import NO_RULE
from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Request, Sampling, StepTime
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.batch import Batch
from raylax.worker.scheduling.decision.scheduler import StepLimits
from raylax.worker.scheduling.drafting.base import Proposer, Seen
from raylax.worker.scheduling.drafting.lookup import Lookup
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan
from raylax.worker.speculation.proposals import Speculation
from tests.support.drafting import Knowing
from tests.support.drawing import VOCAB, drawn, undrawn
from tests.support.lazy_device import LazyDevice
from tests.support.outputs import saying

WAYS = {
    "greedy": Sampling(temperature=0.0),
    "few": Sampling(top_k=4, top_p=0.9, seed=2),
    "biased": Sampling(temperature=0.0, logit_bias=((5, 1.5), (6, -100.0))),
    "penalised": Sampling(presence_penalty=1.0, frequency_penalty=0.5, seed=4),
    "repeating": Sampling(temperature=0.0, repetition_penalty=1.5),
    "told": Sampling(top_logprobs=2, seed=5),
    "told_changed": Sampling(repetition_penalty=1.2, top_logprobs=2, seed=6),
    "not_yet": Sampling(min_tokens=6, seed=7),
    "typical": Sampling(typical_p=0.7, seed=8),
    "some": Sampling(allowed_token_ids=tuple(range(0, VOCAB, 3)), seed=9),
}
"""The last four are drawn by the host."""
LENGTH = 12


def run(plan: StepPlan) -> StepOutput:
    """Logits are only where they are wanted."""
    return drawn(plan)._replace(logits=undrawn(plan).logits)


@dataclass
class Rig:
    """A batch on a device, what it says, and by which rules."""

    proposer: Proposer | None = None
    said: dict[str, list[int]] = field(default_factory=dict)
    logprobs: dict[str, list[object]] = field(default_factory=dict)
    rules: dict[tuple[int, int], tuple[bytes, list[list[float]]]] = field(default_factory=dict)
    """By request and position of the answer: a rule, and what is changed before."""

    def __post_init__(self) -> None:
        self.device, self.pool = LazyDevice(self.run), PagePool(128)
        self.batch = Batch(Roster(self.pool), StepLimits(128, 16, 64), run, model_draws=True)
        self.batch.submit, self.batch.proposer = self.device.submit, self.proposer

    def run(self, plan: StepPlan) -> StepOutput:
        if (draws := plan.batch.draws) is not None:
            ends = draws.rules["changes"].cumsum()
            for rule, end in zip(draws.rules, ends, strict=True):
                if (at := int(rule["position"])) != NO_RULE:
                    part = slice(end - rule["changes"], end)
                    changes = [values[part].tolist() for values in draws[1:]]
                    self.rules[int(rule["choice"]), at] = rule.tobytes(), changes
        return run(plan)

    def ask_all(self) -> None:
        for choice, (name, way) in enumerate(WAYS.items()):
            request = Request(name, (3, choice, 7), LENGTH, way, choice=choice)
            self.batch.roster.add(Sequence(request))

    def run_all(self) -> dict[str, list[int]]:
        while not self.batch.roster.idle:
            for delta in self.batch.step():
                assert delta.error is None
                self.said.setdefault(delta.request_id, []).extend(delta.token_ids)
                self.logprobs.setdefault(delta.request_id, []).extend(delta.logprobs)
        assert self.pool.used == 0
        return self.said


@pytest.fixture(scope="module")
def plain() -> Rig:
    """Without drafts."""
    rig = Rig()
    rig.ask_all()
    rig.run_all()
    return rig


@pytest.mark.parametrize("right", [0, 1, 3, LENGTH])
def test_tokens_and_log_probabilities_are_the_same(plain: Rig, right: int) -> None:
    """Whether drafts are right at once, for some tokens, or beside their first one."""
    rig = Rig(Knowing(plain.said, right, VOCAB))
    rig.ask_all()

    assert rig.run_all() == plain.said
    assert rig.logprobs == plain.logprobs
    assert rig.batch.counters.drafted_tokens > 0
    assert rig.batch.counters.accepted_tokens > 0


def test_a_row_of_a_draft_is_told_what_a_step_of_its_own_would_be(plain: Rig) -> None:
    """Its key, and what penalties make of the tokens before it, those of the draft among them."""
    rig = Rig(Knowing(plain.said, LENGTH, VOCAB))
    rig.ask_all()
    rig.run_all()

    ruled = {choice for choice, _ in plain.rules}
    assert len(ruled) == 5
    assert plain.rules.items() <= rig.rules.items()
    assert rig.batch.counters.steps < LENGTH


def count(plan: StepPlan) -> StepOutput:
    return saying((plan.batch.tokens[plan.batch.rows] + 1) % 10, 12)


def counting(proposer: Lookup | None, length: int) -> tuple[Batch, LazyDevice]:
    """The answer repeats itself from its eleventh token on."""
    device, roster = LazyDevice(count), Roster(PagePool(64), ticks(0.0, 0.01).__next__)
    made = Batch(roster, StepLimits(64, 4, 16), count, model_draws=True)
    made.submit, made.proposer = device.submit, proposer
    if proposer is not None:
        proposer.rounds.clock = ticks(0.0, 0.01).__next__
    made.roster.add(Sequence(Request("a", (1, 2, 3), length, Sampling(temperature=0.0))))
    return made, device


def all_said(made: Batch) -> list[int]:
    said = list[int]()
    while not made.roster.idle:
        for delta in made.step():
            said += delta.token_ids
    return said


def test_steps_are_decided_ahead_until_the_text_repeats_itself() -> None:
    """Then a step is given when the tokens of the one before are known, and verifies a draft."""
    made, device = counting(Lookup(Speculation(length=5)), 60)

    assert all_said(made) == [(4 + i) % 10 for i in range(60)]
    ahead = [len(numbers) - 1 for numbers in device.waited]
    first = next(number for number, one in enumerate(device.given) if len(one.plan.batch.rows) > 1)
    assert ahead[: first - 1] == [1] * (first - 1)
    assert ahead[first - 1 :] == [0] * (len(ahead) - first + 1)
    assert made.counters.steps < 30


def test_a_text_that_never_repeats_itself_is_decided_ahead_to_its_end() -> None:
    made, device = counting(Lookup(Speculation(length=5)), 7)

    all_said(made)
    assert [len(numbers) - 1 for numbers in device.waited] == [1] * 6 + [0]


def test_a_step_that_waited_for_nothing_is_the_drafts_loss() -> None:
    """The text went on as it never did: nothing is drafted, and the device had nothing to do."""
    lookup, one = Lookup(Speculation(length=5)), Sequence(Request("a", (1, 2, 3, 9, 1, 2, 3), 60))
    lookup.rounds.clock = ticks(0.0, 0.01).__next__

    assert lookup.awaits([one], StepTime())
    one.tokens.append(5)
    lookup.propose([one], StepTime())
    assert not one.draft and lookup.rounds.drafted
    lookup.propose([one], StepTime())
    assert not lookup.rounds.drafted


@dataclass
class Awaiting(Lookup):
    """Is told of every step."""

    begun: list[str] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)
    """Of each step whether what it has computed is there."""

    def follow(self, seen: Several[Seen], output: StepOutput | None) -> None:
        self.seen.append(output is not None)
        super().follow(seen, output)

    def propose(self, decodes: Several[Sequence], time: StepTime) -> None:
        self.begun.append("decided")
        super().propose(decodes, time)

    def go_on(self, decodes: Several[Sequence]) -> None:
        self.begun.append("ahead")
        super().go_on(decodes)


def test_the_clock_runs_for_steps_that_were_decided_ahead_too() -> None:
    """Theirs is the pace that drafts have to beat."""
    proposer = Awaiting(Speculation(length=5))
    made, _ = counting(proposer, 7)

    all_said(made)
    assert proposer.begun == ["decided"] + ["ahead"] * 6
    assert proposer.rounds._made[1].without.seconds > 0


def test_nothing_is_read_of_a_step_that_another_one_writes_over() -> None:
    """The one behind it was given before; behind the last one there is none."""
    proposer = Awaiting(Speculation(length=5))
    made, _ = counting(proposer, 7)

    all_said(made)
    assert proposer.seen == [False] * 6 + [True]
