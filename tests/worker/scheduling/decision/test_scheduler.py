"""What a step computes, in tables: a plain function of a snapshot."""

from collections.abc import Iterator

import pytest

from raylax.proto.vocabulary import Priority
from raylax.worker.scheduling.decision.bypass import MOST_PASSED, MOST_PASSED_AT_ONCE
from raylax.worker.scheduling.decision.candidate import Candidate
from raylax.worker.scheduling.decision.scheduler import StepLimits, schedule
from raylax.worker.scheduling.sequence import Phase

LIMITS = StepLimits(tokens=32, sequences=4)


def decode(id: str, length: int = 20) -> Candidate:
    """One that computes its `length`th token; its pages hold all before it."""
    return Candidate(id, Phase.DECODE, 1, computed=length - 1, pages=-(-(length - 1) // 16))


def prefill(id: str, pending: int, computed: int = 0, pages: int | None = None) -> Candidate:
    """One that runs, and so holds the pages of all its tokens."""
    held = -(-(computed + pending) // 16) if pages is None else pages
    return Candidate(id, Phase.PREFILL, pending, computed, held)


def new(id: str, tokens: int, found: int = 0, revived: int = 0) -> Candidate:
    """One that waits, and would find so many of its pages in the prefix cache."""
    return Candidate(id, Phase.PREFILL, tokens - 16 * found, 16 * found, found, revived)


def test_nothing_to_do() -> None:
    decision = schedule([], [], 10, LIMITS)

    assert (decision.steps, decision.admit, decision.preempt) == ([], [], [])


def test_decodes_come_first() -> None:
    """Then the prefills that have begun, then new ones, all in one step."""
    running = [prefill("half", 10, computed=40), decode("a"), decode("b")]
    decision = schedule(running, [new("new", 5)], 10, LIMITS)

    assert decision.steps == [("a", 1), ("b", 1), ("half", 10), ("new", 5)]
    assert decision.admit == ["new"]


@pytest.mark.parametrize(
    ("waiting", "steps"),
    [
        ([("x", 100)], [("x", 31)]),
        ([("x", 31)], [("x", 31)]),
        ([("x", 10), ("y", 10), ("z", 10)], [("x", 10), ("y", 10), ("z", 10)]),
        ([("x", 20), ("y", 20), ("z", 20)], [("x", 20), ("y", 11)]),
        ([("x", 31), ("y", 1)], [("x", 31)]),
    ],
)
def test_prefills_share_what_the_decodes_leave(
    waiting: list[tuple[str, int]], steps: list[tuple[str, int]]
) -> None:
    """The last one that fits in part is cut; who gets no token is not admitted."""
    decision = schedule([decode("a")], [new(*one) for one in waiting], 99, LIMITS)

    assert decision.steps == [("a", 1), *steps]
    assert decision.admit == [id for id, _ in steps]


@pytest.mark.parametrize(
    ("running", "waiting", "turn", "steps"),
    [
        (["a"], 5, False, [("new", 5)]),
        (["a"], 5, True, [("a", 1)]),
        (["a", "b"], 0, False, [("a", 1), ("b", 1)]),  # a turn that nobody wants is the others'
        ([], 40, True, [("new", 32)]),
        (["half", "a"], 5, False, [("half", 10), ("new", 5)]),
        (["half", "a"], 5, True, [("a", 1)]),
        (["half"], 40, True, [("half", 10), ("new", 22)]),
    ],
)
def test_decodes_and_prefills_take_turns(
    running: list[str], waiting: int, turn: bool, steps: list[tuple[str, int]]
) -> None:
    """Where steps are chunked no step has both, and a prefill has the whole of one."""
    limits = StepLimits(tokens=32, sequences=4, chunked=True)
    run = [prefill(id, 10, computed=40) if id == "half" else decode(id) for id in running]
    wait = [new("new", waiting)] if waiting else []
    decision = schedule(run, wait, 99, limits, decodes_turn=turn)

    assert decision.steps == steps
    assert decision.admit == [id for id, _ in steps if id == "new"]
    assert not decision.short


def test_a_decode_may_have_several_tokens() -> None:
    """They come before the prefills, and need their pages, as one does."""
    running = [prefill("half", 50, computed=16), Candidate("a", Phase.DECODE, 5, 14, 1)]

    assert schedule(running, [], 1, LIMITS).steps == [("a", 5), ("half", 27)]
    assert schedule(running, [], 0, LIMITS).preempt == ["a"]


def test_seats_are_limited() -> None:
    running = [decode("a"), decode("b"), decode("c")]
    waiting = [new("d", 1), new("e", 1)]

    assert schedule(running, waiting, 99, LIMITS).admit == ["d"]
    assert schedule([*running, decode("f")], waiting, 99, LIMITS).admit == []


def test_every_decode_has_its_token() -> None:
    """However many run, and before any prefill that has begun."""
    running = [prefill("half", 50, computed=16), *(decode(f"d{i}") for i in range(4))]
    decision = schedule(running, [], 99, StepLimits(tokens=5, sequences=5))

    assert decision.steps == [("d0", 1), ("d1", 1), ("d2", 1), ("d3", 1), ("half", 1)]


def waits(
    id: str,
    tokens: int,
    priority: Priority = Priority.NORMAL,
    passed: int = 0,
    begun: bool = False,
) -> Candidate:
    return new(id, tokens)._replace(priority=priority, passed=passed, begun=begun)


HIGH, NORMAL, LOW = Priority


@pytest.mark.parametrize(
    ("waiting", "admitted", "passed"),
    [
        ([waits("large", 100), waits("small", 5)], ["small"], ["large"]),
        ([waits("large", 100), waits("larger", 200)], [], []),  # nobody was admitted before it
        (
            [waits("large", 100), waits("small", 5), waits("larger", 200), waits("next", 5)],
            ["small", "next"],
            ["large", "larger"],
        ),
        ([waits("small", 5), waits("large", 100)], ["small"], []),  # it was there first
        ([waits("fits", 16), waits("large", 100), waits("small", 5)], ["fits", "small"], ["large"]),
        ([waits("large", 100, LOW), waits("small", 5, HIGH)], ["small"], ["large"]),
        ([waits("large", 100, NORMAL), waits("small", 5, LOW)], [], []),
        ([waits("large", 100, HIGH), waits("small", 5, NORMAL)], [], []),
        ([waits("large", 100, passed=MOST_PASSED - 1), waits("small", 5)], ["small"], ["large"]),
        ([waits("large", 100, passed=MOST_PASSED), waits("small", 5)], [], []),
        ([waits("large", 100, begun=True), waits("small", 5)], [], []),
        (
            [*(waits(f"large{i}", 100) for i in range(MOST_PASSED_AT_ONCE)), waits("small", 5)],
            ["small"],
            [f"large{i}" for i in range(MOST_PASSED_AT_ONCE)],
        ),
        ([*(waits("large", 100) for _ in range(MOST_PASSED_AT_ONCE + 1)), waits("s", 5)], [], []),
    ],
)
def test_who_fits_passes_one_that_does_not(
    waiting: list[Candidate], admitted: list[str], passed: list[str]
) -> None:
    """In so many steps, if it is of no lower class; and who has run before is not passed."""
    decision = schedule([decode("a")], waiting, 6, LIMITS)

    assert (decision.admit, decision.passed) == (admitted, passed)


def low(id: str, computed: int, spared: bool = False) -> Candidate:
    one = decode(id, computed + 1)
    return one._replace(priority=LOW, spared=spared)


OTHERS = [decode("a"), decode("b"), decode("c")]


@pytest.mark.parametrize(
    ("running", "waiting", "available", "gives_way"),
    [
        # no seat
        ([*OTHERS, low("low", 40)], [waits("x", 5, HIGH)], 9, ["low"]),
        ([*OTHERS[:2], low("old", 40), low("new", 20)], [waits("x", 5, HIGH)], 9, ["new"]),
        (
            [*OTHERS[:2], low("old", 40), low("new", 20)],
            [waits("x", 5, HIGH), waits("y", 5, HIGH)], 9, ["new", "old"],
        ),
        ([*OTHERS, low("low", 40)], [waits("x", 5, NORMAL)], 9, []),
        ([*OTHERS, low("low", 40)], [waits("x", 5, LOW)], 9, []),
        ([*OTHERS, decode("d")], [waits("x", 5, HIGH)], 9, []),
        ([*OTHERS, low("low", 40, spared=True)], [waits("x", 5, HIGH)], 9, []),
        ([*OTHERS[:2], low("low", 40)], [waits("x", 5, HIGH)], 9, []),  # there is one
        # no pages
        ([low("low", 40)], [waits("x", 100, HIGH)], 4, ["low"]),
        ([low("low", 40)], [waits("x", 100, NORMAL)], 4, []),
        ([low("low", 40)], [waits("x", 100, HIGH)], 3, []),  # its pages would not suffice
        ([low("old", 90), low("new", 30)], [waits("x", 100, HIGH)], 6, ["new"]),
        ([low("old", 90), low("new", 30)], [waits("x", 100, HIGH)], 4, ["new", "old"]),
        ([low("old", 90, spared=True), low("new", 30)], [waits("x", 100, HIGH)], 4, []),
    ],
)  # fmt: skip
def test_the_lowest_class_gives_way_to_the_highest(
    running: list[Candidate], waiting: list[Candidate], available: int, gives_way: list[str]
) -> None:
    """Where seats or pages are short: who has least to compute again, as many as are needed."""
    assert schedule(running, waiting, available, LIMITS).preempt == gives_way


def test_those_who_are_not_ready_are_passed_over() -> None:
    """Whatever they are: they take no page, no seat and no token of those behind them."""
    large, small = new("large", 100)._replace(ready=False), new("small", 5)._replace(ready=False)
    running = [decode("a"), decode("b"), decode("c")]
    decision = schedule(running, [large, small, new("x", 16), new("y", 1)], 1, LIMITS)

    assert decision.steps == [("a", 1), ("b", 1), ("c", 1), ("x", 16)]
    assert decision.admit == ["x"]


def test_behind_one_that_is_not_ready_the_first_who_is_keeps_its_place() -> None:
    """It is passed as if it were the first, and admitted when it fits."""
    waiting = [new("late", 5)._replace(ready=False), new("large", 100), new("small", 5)]

    assert schedule([decode("a")], waiting, 6, LIMITS).passed == ["large"]
    assert schedule([decode("a")], waiting, 7, LIMITS).admit == ["large"]


@pytest.mark.parametrize(
    ("one", "available", "fits"),
    [
        (new("x", 16), 1, True),
        (new("x", 17), 1, False),
        (new("x", 17), 2, True),
        (new("x", 100), 7, True),  # all its pages, though only 32 tokens are computed now
        (new("x", 100), 6, False),
        (new("x", 100, found=4), 3, True),  # others hold the four, too
        (new("x", 100, found=4, revived=4), 6, False),  # the four count as available until then
        (new("x", 100, found=4, revived=4), 7, True),
    ],
)
def test_a_new_one_needs_pages_for_all_its_tokens(
    one: Candidate, available: int, fits: bool
) -> None:
    assert bool(schedule([], [one], available, LIMITS).admit) == fits


def test_new_ones_leave_the_decodes_their_pages() -> None:
    """A decode at the end of its page takes the last one."""
    waiting = [new("new", 5)]

    assert schedule([decode("a", 33)], waiting, 1, LIMITS).admit == []
    assert schedule([decode("a", 32)], waiting, 1, LIMITS).admit == ["new"]


def test_new_ones_do_not_share_a_page() -> None:
    decision = schedule([], [new("x", 10), new("y", 10)], 1, LIMITS)

    assert decision.admit == ["x"]


def test_the_last_admitted_makes_room() -> None:
    """And nothing else is decided before its pages are counted."""
    running = [decode("a", 33), decode("b", 40), prefill("c", 30)]
    decision = schedule(running, [new("new", 1)], 0, LIMITS)

    assert (decision.preempt, decision.steps, decision.admit) == (["c"], [], [])


@pytest.mark.parametrize(("available", "preempt"), [(0, ["c"]), (1, ["c"]), (2, [])])
def test_only_a_shortage_preempts(available: int, preempt: list[str]) -> None:
    running = [decode("a", 33), decode("b", 65), decode("c", 40)]

    assert schedule(running, [], available, LIMITS).preempt == preempt


def test_the_lowest_class_makes_room_first() -> None:
    """Of several in it, the last admitted; never one that is more urgent."""
    running = [
        decode("high", 33)._replace(priority=Priority.HIGH),
        decode("low", 40)._replace(priority=Priority.LOW),
        decode("lower", 40)._replace(priority=Priority.LOW),
        decode("normal", 40),
    ]

    assert schedule(running, [], 0, LIMITS).preempt == ["lower"]
    assert schedule([*running[:1], running[3]], [], 0, LIMITS).preempt == ["normal"]


def test_suspects_are_stepped_alone() -> None:
    """One after the other, whoever else could run, and without a look at free pages: it has its
    own."""
    running = [
        decode("a"),
        prefill("b", 100, computed=16)._replace(suspect=True),
        decode("c", 33)._replace(suspect=True),
    ]
    decision = schedule(running, [new("new", 1)], 0, LIMITS)

    assert (decision.steps, decision.admit, decision.preempt) == ([("b", 32)], [], [])


def test_one_alone_gives_way_to_itself() -> None:
    """It is computed again when its pages, which are then all, suffice."""
    assert schedule([decode("a", 33)], [], 0, LIMITS).preempt == ["a"]


def test_a_prefill_that_has_begun_needs_no_more_pages() -> None:
    assert schedule([prefill("a", 100, computed=32)], [], 0, LIMITS).steps == [("a", 32)]


def test_a_long_queue_is_not_looked_through() -> None:
    """Only as far as it is served, and not at all where nobody can be."""
    looked: list[str] = []

    def queue() -> Iterator[Candidate]:
        for i in range(1000):
            looked.append(f"w{i}")
            yield new(f"w{i}", 20)

    schedule([decode(f"d{i}") for i in range(4)], queue(), 99, LIMITS)
    assert looked == []
    schedule([], queue(), 99, LIMITS)
    assert looked == ["w0", "w1"]


@pytest.mark.parametrize(("tokens", "sequences"), [(3, 4), (4, 0)])
def test_a_step_holds_a_token_for_each_sequence(tokens: int, sequences: int) -> None:
    with pytest.raises(ValueError, match=f"found {tokens} tokens for {sequences} sequences"):
        StepLimits(tokens, sequences)
