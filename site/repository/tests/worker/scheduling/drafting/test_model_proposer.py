"""When a model drafts, and what happens when it cannot."""

import logging
from collections.abc import Sequence as Several

import pytest

from raylax.kernels.model import StepOutput
from raylax.proto.vocabulary import Request, Sampling, StepTime
from raylax.worker.config import MOST_DRAFTED
from raylax.worker.scheduling.drafting.base import Seen, proposal_of
from raylax.worker.scheduling.drafting.model_proposer import ModelProposer
from raylax.worker.scheduling.sequence import Sequence
from tests.support.outputs import saying

CHEAP = StepTime(a=1e-4, c=1e-5)
STEP = StepTime(a=1e-2, c=1e-4)


class Ones:
    """Drafts as many ones as are wanted, or breaks."""

    most = MOST_DRAFTED

    def __init__(self, time: StepTime = CHEAP, breaks: bool = False) -> None:
        self.time, self.breaks, self.width, self.reads = time, breaks, 1, False
        self.wanted: list[int] = []

    def draft(self, wanted: Several[tuple[Sequence, int]]) -> None:
        self.wanted = [count for _, count in wanted]
        for one, count in wanted:
            proposal_of(one).draft += [1] * count
        if self.breaks:
            raise RuntimeError("broken on purpose")

    def behind(self, one: Sequence) -> int | None:
        return 0

    def follow(self, seen: Several[Seen], output: StepOutput) -> None:
        if self.breaks:
            raise RuntimeError("broken on purpose")


def decoding(count: int, room: int = 100) -> list[Sequence]:
    return [Sequence(Request(str(i), (1,), room, Sampling(temperature=0.0))) for i in range(count)]


def drafts(some: list[Sequence]) -> list[int]:
    return [len(proposal_of(one).draft) for one in some]


def compared(proposer: ModelProposer, some: list[Sequence]) -> ModelProposer:
    """It has seen a step without drafts."""
    proposer.propose(some, StepTime())
    proposer.follow([Seen(one, 0, 1, 0) for one in some], saying([], 3))
    return proposer


@pytest.mark.parametrize("pays", [True, False])
def test_a_step_awaits_the_tokens_before_it_while_drafts_pay(pays: bool) -> None:
    """On a device; else it is decided ahead, and counts as one without a draft."""
    some = decoding(2)
    proposer = compared(ModelProposer(Ones()), some)
    proposer.propose(some, STEP)
    proposer.rounds._made[2]._debt = 0.0 if pays else 1.0

    assert proposer.awaits(some, STEP) is pays
    assert proposer.rounds.drafted
    proposer.go_on(some)
    assert not proposer.rounds.drafted


def test_who_reads_what_is_computed_awaits_every_step() -> None:
    """Also if nothing is drafted yet; but for those who have no room, and while drafts rest."""
    drafter, some = Ones(), decoding(2)
    drafter.reads, proposer = True, ModelProposer(drafter)

    assert proposer.awaits(some, STEP)
    assert not proposer.awaits(decoding(2, room=1), STEP)
    proposer.rounds.rests = True
    assert not proposer.awaits(some, STEP)


def test_nobody_goes_on_from_what_is_gone() -> None:
    """A step that was not followed, or may not be: what comes behind it does not follow what was
    kept."""
    drafter, some = Ones(breaks=True), decoding(2)
    proposer = ModelProposer(drafter)
    for one in some:
        proposal_of(one).streams = "of the steps before"
    proposer.follow([Seen(some[0], 0, 1, 0)], None)
    assert [proposal_of(one).streams for one in some] == [None, "of the steps before"]

    proposer.go_on(some)
    assert proposal_of(some[1]).streams is None
    assert proposer.drafter is drafter, "it was asked for nothing"


def test_nothing_is_awaited_of_a_model_that_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    drafter, some = Ones(), decoding(1)
    proposer = compared(ModelProposer(drafter), some)
    drafter.behind = None  # type: ignore[method-assign, assignment]

    assert not proposer.awaits(some, STEP)
    assert proposer.drafter is None
    assert "drafting has failed" in caplog.text


def test_a_fixed_length_is_kept_as_far_as_there_is_room() -> None:
    """In the step, and in each answer."""
    some = decoding(4) + decoding(1, room=2)
    ModelProposer(Ones(), length=5).propose(some, StepTime())

    assert drafts(some) == [5, 5, 5, 1, 0]
    assert sum(drafts(some)) == MOST_DRAFTED


def test_nothing_is_drafted_before_it_is_known_what_a_step_takes() -> None:
    some = decoding(2)
    ModelProposer(Ones()).propose(some, StepTime())

    assert drafts(some) == [0, 0]


def test_who_is_often_right_is_drafted_for_the_most() -> None:
    good, bad = decoding(2)
    proposer = compared(ModelProposer(Ones()), [good, bad])
    for _ in range(50):
        proposer.learn(good, 4, 4)
        proposer.learn(bad, 4, 0)
    proposer.propose([good, bad], STEP)

    assert drafts([good, bad])[0] > 3 > drafts([good, bad])[1]


class Clock:
    """Lets steps take a millisecond, and with drafts `draft_s` and a little for each token more."""

    def __init__(
        self, proposer: ModelProposer, some: list[Sequence], draft_s: float = 4e-4
    ) -> None:
        self.now, self.proposer, self.some, self.draft_s = 0.0, proposer, some, draft_s
        proposer.rounds.clock = lambda: self.now

    def step(self, right: bool) -> list[int]:
        """How many tokens were drafted for each in the next one."""
        self.proposer.propose(self.some, StepTime(a=1e-3, c=1e-4))
        made, seen = drafts(self.some), list[Seen]()
        for one, count in zip(self.some, made, strict=True):
            if count:
                self.proposer.learn(one, count, count if right else 0)
            seen.append(Seen(one, 0, 1 + count if right else 1, 0))
        self.now += 1e-3 + self.draft_s * bool(sum(made)) + 1e-5 * sum(made)
        if not self.proposer.rests:
            self.proposer.follow(seen, saying([], 3))
        return made


def test_a_model_that_is_never_right_is_tried_now_and_then() -> None:
    """One token of one sequence, so that it costs next to nothing."""
    clock = Clock(ModelProposer(Ones()), decoding(3))
    for _ in range(400):
        clock.step(right=False)
    began, counts = clock.now, [clock.step(right=False) for _ in range(2000)]

    assert {sum(count) for count in counts} == {0, 1}
    assert clock.now - began < 1.02 * 2000 * 1e-3


def test_a_model_that_is_never_right_and_dear_to_try_is_let_alone_in_most_steps() -> None:
    proposer, some = ModelProposer(Ones()), decoding(2)
    clock, rested = Clock(proposer, some, draft_s=5e-3), 0
    for _ in range(2000):
        clock.step(right=False)
        rested += proposer.rests

    assert rested > 1500


def test_who_rests_has_nothing_proposed_and_nothing_kept() -> None:
    """What a head has kept would not be followed by what comes next."""
    proposer, some = ModelProposer(Ones()), decoding(2)
    clock = Clock(proposer, some, draft_s=5e-3)
    while not proposer.rests:
        for one in some:
            proposal_of(one).streams, proposal_of(one).others = "kept", [1]
        clock.step(right=False)

    assert drafts(some) == [0, 0]
    assert {(proposal_of(one).streams, len(proposal_of(one).others)) for one in some} == {(None, 0)}


def test_a_model_that_is_right_at_last_drafts_again() -> None:
    clock = Clock(ModelProposer(Ones()), decoding(2))
    for _ in range(1000):
        clock.step(right=False)
    for _ in range(400):
        clock.step(right=True)

    assert sum(sum(clock.step(right=True)) > 4 for _ in range(100)) > 90


def test_the_first_step_has_no_drafts() -> None:
    """Nor have those behind it, as long as nobody knows how it went."""
    proposer, some = ModelProposer(Ones()), decoding(2)
    counts = []
    for _ in range(3):
        proposer.propose(some, STEP)
        counts.append(sum(drafts(some)))
        if counts == [0, 0]:
            proposer.follow([Seen(one, 0, 1, 0) for one in some], saying([], 3))

    assert counts[:2] == [0, 0] and counts[2] > 0


@pytest.mark.parametrize("where", ["draft", "follow"])
def test_a_model_that_fails_ends_speculation_and_nothing_else(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    proposer, some = ModelProposer(Ones(breaks=True), length=3), decoding(2)
    with caplog.at_level(logging.ERROR):
        if where == "draft":
            proposer.propose(some, STEP)
        else:
            proposer.follow([], saying([], 3))
    proposer.propose(some, STEP)

    assert drafts(some) == [0, 0]
    assert "goes on without drafts" in caplog.text
    assert proposer.drafter is None
