"""Who gives way to whom, in tables: decisions for several tenants."""

from collections.abc import Mapping

import pytest

from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.allowance import Allowed
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.division import Division
from raylax.worker.scheduling.decision.giving_way import giving_way, pages, seats
from raylax.worker.scheduling.decision.scheduler import Decision, StepLimits, schedule
from raylax.worker.scheduling.sequence import Phase

LIMITS = StepLimits(tokens=32, sequences=4)
PAGES = 40


def decode(id: str, length: int = 20, priority: Priority = Priority.NORMAL) -> Candidate:
    """One of the tenant that its id begins with."""
    held = -(-(length - 1) // 16)
    return Candidate(id, Phase.DECODE, 1, length - 1, held, priority=priority, tenant=id[0])


def prefill(id: str, pending: int, computed: int = 0) -> Candidate:
    held = -(-(computed + pending) // 16)
    return Candidate(id, Phase.PREFILL, pending, computed, held, tenant=id[0])


def new(id: str, tokens: int) -> Candidate:
    return Candidate(id, Phase.PREFILL, tokens, 0, 0, tenant=id[0])


def decide(
    running: list[Candidate],
    waiting: list[Candidate],
    available: int = 99,
    shares: dict[str, float] | None = None,
    limits: StepLimits = LIMITS,
    allowed: bool = True,
) -> Decision:
    everybody = shares or {"a": 1.0, "b": 1.0}
    had = dict.fromkeys(everybody, 0.0)
    division = Division.among(everybody, everybody, limits.sequences, PAGES, had)
    return schedule(running, waiting, available, limits, division, Allowed(giving_way=allowed))


FULL = [decode("b0", 90), decode("b1", 50), decode("b2", 60), decode("b3", 70)]


def test_a_tenant_without_a_seat_does_not_wait_for_anothers_end() -> None:
    """Whoever has least to lose of the one with most gives way, and nothing else is decided."""
    decision = decide(FULL, [new("a0", 5)])

    assert (decision.preempt, decision.steps, decision.admit) == (["b1"], [], [])


def test_many_give_way_at_once() -> None:
    """As far as their tenant keeps its due, and those who come have tokens."""
    assert decide(FULL, [new("a0", 5), new("a1", 5), new("a2", 5)]).preempt == ["b1", "b2"]
    assert decide(FULL, [new("a0", 40), new("a1", 5)]).preempt == ["b1"]


def test_who_has_made_room_comes_later() -> None:
    """The seat is for whom it was made free."""
    running = [FULL[0], FULL[2], FULL[3]]
    decision = decide(running, [new("a0", 5), new("b1", 50)])

    assert decision.admit == ["a0"]
    assert decision.preempt == []


@pytest.mark.parametrize(
    ("running", "shares", "preempt"),
    [
        ("aabb", {"a": 1.0, "b": 1.0}, []),
        ("abbb", {"a": 1.0, "b": 1.0}, ["b1"]),
        ("abbb", {"a": 1.0, "b": 3.0}, []),
        ("aabb", {"a": 3.0, "b": 1.0}, ["b1"]),
        ("bbbc", {"a": 1.0, "b": 1.0, "c": 1.0}, ["b1"]),
        ("bccd", {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, ["c2"]),
        ("bcde", {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 1.0}, []),
    ],
)
def test_only_who_has_more_than_its_due_gives_way(
    running: str, shares: dict[str, float], preempt: list[str]
) -> None:
    """To one that has less: so nobody gives way to and fro."""
    there = [decode(f"{tenant}{i}") for i, tenant in enumerate(running)]
    expected = [id.replace("b1", there_id(there, "b")) for id in preempt]

    assert decide(there, [new("a9", 5)], shares=shares).preempt == expected


def there_id(running: list[Candidate], tenant: str) -> str:
    """The last one of a tenant: of several that cost the same, the one admitted last."""
    return [one.id for one in running if one.tenant == tenant][-1]


def test_the_lowest_class_gives_way_first() -> None:
    running = [decode("b0", 40, Priority.HIGH), decode("b1", 90, Priority.LOW), *FULL[2:]]

    assert decide(running, [new("a0", 5)]).preempt == ["b1"]


def test_a_high_class_does_not_keep_what_is_anothers_due() -> None:
    """It decides who is first within a tenant, and of what nobody claims."""
    running = [decode(f"b{i}", 40, Priority.HIGH) for i in range(4)]

    assert decide(running, [new("a0", 5)]).preempt == ["b3"]


def test_the_oldest_of_the_highest_class_stays() -> None:
    """However little it has computed."""
    running = [decode("b0", 2), *(decode(f"b{i}", 90) for i in range(1, 4))]
    line = [one.id for one in giving_way(running, {"a": 1, "b": 1}, seats)]

    assert line == ["b3", "b2", "b1"]


def test_tokens_of_prefills_are_shared() -> None:
    """A short prompt is not behind another tenant's long one; who wants less leaves the rest."""
    running = [prefill("b0", 100, computed=32)]

    assert decide(running, [new("a0", 5)]).steps == [("b0", 27), ("a0", 5)]
    assert decide(running, [new("a0", 50)]).steps == [("b0", 16), ("a0", 16)]
    assert decide(running, [new("a0", 50)], shares={"a": 1.0, "b": 3.0}).steps == [
        ("b0", 24),
        ("a0", 8),
    ]


def test_prefills_that_have_begun_share_too() -> None:
    """First come, first served is the rule within a tenant alone."""
    running = [prefill("b0", 100), prefill("b1", 100), prefill("a0", 10), prefill("a1", 3)]

    assert decide(running, []).steps == [("b0", 19), ("a0", 10), ("a1", 3)]


def test_who_gets_no_token_is_not_admitted() -> None:
    running = [prefill("b0", 100)]

    assert decide(running, [new("a0", 16), new("a1", 5)]).admit == ["a0"]
    assert decide(running, [new("b1", 5)]).admit == []


def test_pages_are_shared() -> None:
    """A tenant within its due of them does not wait for another's to end."""
    running = [decode("b0", 300), decode("b1", 200), decode("b2", 100)]

    assert decide(running, [new("a0", 40)], available=2).preempt == ["b2"]
    assert decide(running, [new("a0", 40)], available=3).admit == ["a0"]


@pytest.mark.parametrize(
    ("running", "tokens"),
    [
        ([decode("b0", 300), decode("b1", 20)], 40),  # b is within its due
        ([decode("b0", 300), decode("b1", 300)], 400),  # a would have more than its own
        ([decode("b0", 340), decode("b1", 20)], 80),  # all that b has too much is not enough
        ([decode("b0", 600)], 40),  # all of b's
    ],
)
def test_pages_are_not_taken_in_vain(running: list[Candidate], tokens: int) -> None:
    decision = decide(running, [new("a0", tokens)], available=2)

    assert (decision.preempt, decision.admit) == ([], [])
    assert len(decision.steps) == len(running)


def test_decodes_get_pages_of_who_has_most() -> None:
    """Whoever was admitted last; where all have their due, the last admitted, as ever."""
    running = [decode("b0", 400), decode("b1", 33), decode("a0", 33)]

    assert decide(running, [], available=0).preempt == ["b1"]
    running = [decode("b0", 300), decode("b1", 33), decode("a0", 33)]
    assert decide(running, [], available=0).preempt == ["a0"]


def test_who_holds_no_page_frees_none() -> None:
    running = [decode("b0", 90), decode("b1", 90), decode("b2", 1)]

    assert [one.id for one in giving_way(running, {"b": 1}, pages)] == ["b1"]


FIVE = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 1.0}


def decide_by_turns(
    running: list[Candidate],
    waiting: list[Candidate],
    had: Mapping[str, float],
    available: int = 99,
) -> Decision:
    limits = StepLimits(tokens=32, sequences=4)
    division = Division.among(FIVE, FIVE, limits.sequences, PAGES, had)
    return schedule(running, waiting, available, limits, division)


@pytest.mark.parametrize(
    ("had", "preempt"),
    [
        ({"a": 100, "b": 611, "c": 0, "d": 0, "e": 0}, []),
        ({"a": 100, "b": 612, "c": 0, "d": 0, "e": 0}, ["b0"]),
        ({"a": 100, "b": 612, "c": 0, "d": 0, "e": 900}, ["e3"]),
        ({"a": 900, "b": 800, "c": 0, "d": 0, "e": 0}, []),
    ],
)
def test_more_tenants_than_seats_take_turns(had: dict[str, float], preempt: list[str]) -> None:
    """Long ones: whose tenant has had most gives way to one that has had much less."""
    running = [decode(id) for id in ("b0", "c1", "d2", "e3")]

    assert decide_by_turns(running, [new("a0", 5)], had).preempt == preempt


def test_a_prefill_keeps_its_turn() -> None:
    """Its tenant has been charged for it already."""
    had = {"a": 0, "b": 9000, "c": 0, "d": 0, "e": 0}
    running = [prefill("b0", 90, computed=16), *(decode(id) for id in ("c1", "d2", "e3"))]

    assert decide_by_turns(running, [new("a0", 5)], had).preempt == []


def test_turns_for_pages_are_as_much_longer_as_what_is_lost() -> None:
    running = [decode("b0", 320), decode("c1", 320)]
    had = {"a": 0, "b": 512 + 318, "c": 0, "d": 0, "e": 0}

    assert decide_by_turns(running, [new("a0", 200)], had, available=0).preempt == []
    had["b"] += 1
    assert decide_by_turns(running, [new("a0", 200)], had, available=0).preempt == ["b0"]
    assert decide_by_turns(running, [new("a0", 400)], had, available=0).preempt == []


def test_nobody_gives_way_while_that_has_cost_too_much() -> None:
    """But for the decodes; and who is below its due is still the first to come in."""
    waiting = [new("a0", 5), new("b9", 5)]

    assert decide(FULL, waiting, allowed=False).preempt == []
    assert decide([decode("b0", 700)], [new("a0", 40)], 2, allowed=False).preempt == []
    assert decide(FULL[:3], waiting, allowed=False).admit == ["a0"]
    assert decide([decode("b0", 33), decode("b1", 33)], [], 0, allowed=False).preempt == ["b1"]


@pytest.mark.parametrize(("share", "preempt"), [(1.0, ["b0"]), (0.5, []), (2.0, ["b0"])])
def test_a_turn_is_as_long_for_a_small_share(share: float, preempt: list[str]) -> None:
    """Its tokens count more, and it has as many of them."""
    division = Division.among({"b": share}, {"a": 1.0}, 1, PAGES, {"a": 0.0, "b": 512.0})
    limits = StepLimits(tokens=32, sequences=1)

    assert schedule([decode("b0")], [new("a0", 5)], 99, limits, division).preempt == preempt
