"""When a tenant's first tokens have a step without the rows of all others."""

import pytest

from raylax.worker.scheduling.decision.allowance import Allowed
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.division import Division
from raylax.worker.scheduling.decision.scheduler import Decision, StepLimits, schedule
from raylax.worker.scheduling.sequence import Phase

LIMITS = StepLimits(tokens=64, sequences=64)


def decodes(tenant: str, count: int) -> list[Candidate]:
    return [Candidate(f"{tenant}{i}", Phase.DECODE, 1, 20, 2, tenant=tenant) for i in range(count)]


def prefill(id: str, pending: int, running: bool = False) -> Candidate:
    pages = -(-pending // 16) if running else 0
    return Candidate(id, Phase.PREFILL, pending, 0, pages, tenant=id[0])


def decide(
    running: list[Candidate],
    waiting: list[Candidate],
    shares: tuple[float, float, float] = (1.0, 1.0, 1.0),
    rested: bool = True,
) -> Decision:
    everybody = dict(zip("abc", shares, strict=True))
    had = dict.fromkeys(everybody, 0.0)
    division = Division.among(everybody, everybody, LIMITS.sequences, 999, had)
    return schedule(running, waiting, 99, LIMITS, division, Allowed(short_step=rested))


def test_a_short_prompt_has_a_step_of_its_own() -> None:
    """With the tenant's own decodes, which cost twice a token of a prefill."""
    decision = decide([*decodes("b", 30), *decodes("a", 2)], [prefill("a9", 10)])

    assert decision.steps == [("a0", 1), ("a1", 1), ("a9", 10)]
    assert (decision.admit, decision.short) == (["a9"], True)


@pytest.mark.parametrize(("tokens", "short"), [(1, True), (20, True), (21, False), (40, False)])
def test_only_where_the_whole_step_is_three_times_as_much(tokens: int, short: bool) -> None:
    """Of 40 and so many."""
    assert decide(decodes("b", 20), [prefill("a0", tokens)]).short == short


def test_not_before_its_time() -> None:
    decision = decide(decodes("b", 30), [prefill("a0", 10)], rested=False)

    assert len(decision.steps) == 31 and not decision.short


def test_a_long_prompt_has_none() -> None:
    """It takes several steps anyway."""
    decision = decide([*decodes("b", 30), prefill("b99", 500, running=True)], [prefill("a0", 65)])

    assert not decision.short
    assert len(decision.steps) == 32


def test_who_is_left_out_is_not_admitted() -> None:
    decision = decide(decodes("b", 25), [prefill("a0", 8), prefill("b99", 9)])

    assert (decision.steps, decision.admit) == ([("a0", 8)], ["a0"])


def test_several_tenants_share_one() -> None:
    """As many as are a third of the whole together, the least first."""
    waiting = [prefill("a0", 8), prefill("c0", 7)]

    assert decide(decodes("b", 25), waiting).admit == ["a0", "c0"]
    assert decide(decodes("b", 12), waiting).admit == ["c0"]


def test_no_more_often_than_the_share_allows() -> None:
    """Its part of the step must be within its tenant's part of the engine."""
    assert not decide(decodes("b", 30), [prefill("a0", 10)], (1.0, 9.0, 1.0)).short
    assert decide(decodes("b", 30), [prefill("a0", 10)], (1.0, 3.0, 1.0)).short


def test_the_work_of_one_tenant_is_never_cut() -> None:
    running = decodes("b", 30)

    assert not schedule(
        running, [prefill("b99", 5)], 99, LIMITS, allowed=Allowed(short_step=True)
    ).short
