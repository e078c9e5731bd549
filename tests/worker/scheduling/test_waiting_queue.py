"""The queue: order, places by id, and the count of tokens."""

import itertools
import random

import pytest

from raylax.proto.vocabulary import Priority, Request
from raylax.worker.scheduling.readiness import READY, Need, Needs
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.waiting_queue import WaitingQueue

HIGH, NORMAL, LOW = Priority


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def sequence(
    id: str,
    tokens: int,
    tenant: str = "",
    priority: Priority = NORMAL,
    share: float = 1.0,
    needs: Needs = READY,
) -> Sequence:
    prompt = tuple(range(tokens))
    request = Request(id, prompt, 1, tenant=tenant, priority=priority, share=share)
    return Sequence(request, needs=needs)


def queue(*sequences: Sequence) -> WaitingQueue:
    made = WaitingQueue(Clock())
    for one in sequences:
        made.put_last(one)
    return made


def order(waiting: WaitingQueue) -> list[str]:
    return [one.request.id for one in waiting]


def served(waiting: WaitingQueue) -> list[str]:
    """Each admitted in its turn."""
    return [waiting.serve(next(iter(waiting)).request.id).request.id for _ in range(len(waiting))]


def test_in_order_but_for_those_who_were_preempted() -> None:
    """They had their turn before all others."""
    waiting = queue(sequence("a", 3), sequence("b", 4))
    waiting.put_first(sequence("preempted", 5))

    assert order(waiting) == ["preempted", "a", "b"]
    assert (len(waiting), waiting.tokens) == (3, 12)


def test_anybody_can_leave() -> None:
    waiting = queue(sequence("a", 3), sequence("b", 4), sequence("c", 5))
    taken = waiting.pop("b")

    assert taken is not None and taken.request.id == "b"
    assert waiting.pop("b") is None
    assert (order(waiting), waiting.tokens) == (["a", "c"], 8)


def test_what_need_not_be_computed_is_not_counted() -> None:
    """Nor taken off when it leaves."""
    waiting = queue(sequence("a", 3))
    waiting.put_last(sequence("b", 40), known=32)
    waiting.put_first(sequence("c", 50), known=48)

    assert waiting.tokens == 3 + 8 + 2
    waiting.serve("c")
    waiting.pop("a")
    assert waiting.tokens == 8


NEEDS_PAGES = frozenset({Need.PAGES})


def test_who_becomes_ready_has_its_old_place() -> None:
    """And its tokens are counted anew, as far as they are known by then."""
    waiting = queue(sequence("a", 3), sequence("b", 40, needs=NEEDS_PAGES), sequence("c", 5))
    assert (order(waiting), waiting.tokens, waiting.ready) == (["a", "b", "c"], 48, 2)
    one = waiting.get("b")
    assert one is not None and not one.ready
    one.needs = READY
    waiting.recount(one, known=32)

    assert (order(waiting), waiting.tokens, waiting.ready) == (["a", "b", "c"], 16, 3)
    assert served(waiting) == ["a", "b", "c"]
    assert (waiting.tokens, waiting.ready, waiting.get("b")) == (0, 0, None)


def test_who_is_passed_over_is_not_charged() -> None:
    """Its tenant's next request has the turn instead."""
    long = sequence("a0", 100, "a", needs=NEEDS_PAGES)
    waiting = queue(long, sequence("a1", 10, "a"), sequence("a2", 10, "a"), sequence("b", 10, "b"))

    assert order(waiting) == ["a0", "a1", "b", "a2"]


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_the_ready_is_the_order_of_service(seed: int) -> None:
    """Whoever among them is not ready, and whenever that changes."""
    rng, waiting = random.Random(seed), queue()
    for i in range(60):
        needs = rng.choice([READY, NEEDS_PAGES])
        waiting.put_last(
            sequence(
                f"r{i}", rng.randint(1, 9), rng.choice("abc"), rng.choice([NORMAL, LOW]), 3.0, needs
            )
        )
    while waiting.ready:
        seen = [one.request.id for one in waiting if one.ready]
        assert len(seen) == waiting.ready
        for id in seen[: rng.randint(1, 9)]:
            first = next(one for one in waiting if one.ready)
            assert waiting.serve(id) is first
        if (late := next((one for one in waiting if not one.ready), None)) is not None:
            late.needs = READY
            waiting.recount(late, known=0)

    assert (len(waiting), waiting.tokens) == (0, 0)


@pytest.mark.parametrize("seed", range(10))
def test_the_count_never_drifts(seed: int) -> None:
    """Whoever comes, leaves, ages or comes back, and whatever becomes of them meanwhile."""
    rng, clock, expected = random.Random(seed), Clock(), dict[str, int]()
    waiting = WaitingQueue(clock)
    for number in range(300):
        clock.now += rng.random()
        waiting.age()
        if expected and rng.random() < 0.5:
            id = rng.choice(list(expected))
            one = waiting.pop(id) if rng.random() < 0.5 else waiting.serve(id)
            assert one is not None and expected.pop(id)
            one.tokens.append(1)  # as it does when it runs
        else:
            tokens = rng.randint(1, 90)
            id, known = f"r{number}", rng.randrange(tokens)
            put = rng.choice([waiting.put_last, waiting.put_first])
            put(sequence(id, tokens, rng.choice("abc"), rng.choice(list(Priority))), known)
            expected[id] = tokens - known
        assert waiting.tokens == sum(expected.values())


def test_the_higher_class_goes_first() -> None:
    """Whoever came before, and whatever its tenant has had."""
    waiting = queue(
        sequence("low", 1, priority=LOW),
        sequence("normal", 1, "x"),
        sequence("high", 500, "y", HIGH),
    )
    waiting.charge("y", 1000)

    assert order(waiting) == ["high", "normal", "low"]


def test_tenants_take_turns() -> None:
    """However many requests one of them has put there before."""
    waiting = queue(*(sequence(f"a{i}", 10, "a") for i in range(4)))
    for one in (sequence("b0", 10, "b"), sequence("b1", 10, "b")):
        waiting.put_last(one)

    assert order(waiting) == ["a0", "b0", "a1", "b1", "a2", "a3"]


def test_turns_are_measured_in_tokens() -> None:
    """One long prompt is as much as three short ones."""
    long = [sequence(f"long{i}", 30, "a") for i in range(2)]
    waiting = queue(*long, *(sequence(f"short{i}", 10, "b") for i in range(6)))

    assert order(waiting) == [
        *("long0", "short0", "short1", "short2"),
        *("long1", "short3", "short4", "short5"),
    ]


def test_what_is_generated_counts() -> None:
    """It is charged while those wait whom it concerns."""
    waiting = queue(sequence("a", 10, "a"), sequence("b", 10, "b"), sequence("c", 10, "c"))
    waiting.charge("a", 5)
    waiting.charge("b", 2)

    assert order(waiting) == ["c", "b", "a"]


@pytest.mark.parametrize("share", [1.0, 3.0])
def test_looking_changes_nothing(share: float) -> None:
    """The order as it would be is the order as it is then: to the last bit of what was had, which
    decides between tenants that are as good as equal."""
    rng, waiting = random.Random(4), queue()
    for i in range(600):
        tenant, priority = rng.choice("abc"), rng.choice(list(Priority))
        waiting.put_last(sequence(f"r{i}", rng.randint(1, 3), tenant, priority, share))
    for tenant in "abc":
        waiting.charge(tenant, rng.randint(0, 100) / share)
    seen = order(waiting)

    assert order(waiting) == seen
    assert served(waiting) == seen
    assert waiting.tokens == 0


def test_nobody_saves_up() -> None:
    """Who asked for nothing while another was served does not go first for as long now."""
    waiting = queue(*(sequence(f"old{i}", 10, "a") for i in range(100)))
    for _ in range(50):
        waiting.serve(next(iter(waiting)).request.id)
    for i in range(50):
        waiting.put_last(sequence(f"new{i}", 10, "b"))

    first = order(waiting)[:10]
    assert sum(id.startswith("new") for id in first) == 5


def test_nobody_saves_up_while_nobody_waits() -> None:
    """Measured by who was served last, when the queue is empty."""
    waiting = queue(sequence("a", 1000, "a"))
    waiting.serve("a")
    waiting.put_last(sequence("b0", 10, "b"))
    waiting.put_last(sequence("b1", 10, "b"))
    waiting.put_last(sequence("a1", 10, "a"))

    assert order(waiting) == ["b0", "a1", "b1"]


def test_a_preempted_one_is_not_charged_again() -> None:
    """It pays for its prompt once, though that is computed twice."""
    waiting = queue(sequence("a0", 100, "a"), sequence("b0", 150, "b"), sequence("b1", 1, "b"))
    one = waiting.serve("a0")
    one.cached_tokens = 0  # as its first admission does
    waiting.put_first(one)
    waiting.put_last(sequence("a1", 1, "a"))

    assert order(waiting) == ["b0", "a0", "a1", "b1"]


def test_one_tenant_is_served_as_it_comes() -> None:
    """Whatever it has had: the order is that of arrival, preempted ones before."""
    waiting = queue(*(sequence(f"r{i}", 1 + i % 7, "t") for i in range(50)))
    waiting.charge("t", 77)

    assert served(waiting) == [f"r{i}" for i in range(50)]


def test_a_minute_of_waiting_is_a_class() -> None:
    """Then it is served as one of those it came before."""
    clock = Clock()
    waiting = WaitingQueue(clock)
    waiting.put_last(sequence("low", 1, priority=LOW))
    clock.now += 30.0
    waiting.put_last(sequence("normal", 1))
    orders: list[list[str]] = []
    for passed in (29.9, 0.1, 60.0):
        clock.now += passed
        waiting.put_last(sequence(f"high{len(orders)}", 1, priority=HIGH))
        waiting.age()
        orders.append(order(waiting))

    assert orders == [
        ["high0", "normal", "low"],
        ["high0", "high1", "low", "normal"],
        ["low", "normal", "high0", "high1", "high2"],
    ]
    assert waiting.tokens == 5


def test_the_lowest_class_is_served_in_the_end() -> None:
    """Though a higher one is never empty."""
    clock = Clock()
    waiting = WaitingQueue(clock)
    waiting.put_last(sequence("low", 1, "x", LOW))
    for i in itertools.count():
        assert clock.now < 100.0 + 2 * 60.0 + 5.0, "starved"
        waiting.put_last(sequence(f"a{i}", 1, "y", HIGH))
        waiting.put_last(sequence(f"b{i}", 1, "y", HIGH))
        waiting.age()
        if waiting.serve(next(iter(waiting)).request.id).request.id == "low":
            break
        clock.now += 1.0


@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (10, 1)])
def test_shares_are_equal_however_much_is_asked(weights: tuple[int, int]) -> None:
    """Over time no tenant gets more than a prompt more than another that waits, too."""
    rng = random.Random(7)
    waiting, given, most = WaitingQueue(Clock()), {"a": 0, "b": 0}, 40
    for i in range(2000):
        for tenant, weight in zip("ab", weights, strict=True):
            if i % (max(weights) // weight) == 0:
                waiting.put_last(sequence(f"{tenant}{i}", rng.randint(1, most), tenant))
        one = next(iter(waiting))
        waiting.serve(one.request.id)
        given[one.request.tenant] += len(one.tokens)
        both = {one.request.tenant for one in itertools.islice(waiting, 2)}
        if len(both) < 2:
            given = dict.fromkeys(given, 0)  # equal shares are for those who wait
        assert abs(given["a"] - given["b"]) <= 2 * most


@pytest.mark.parametrize("shares", [(2.0, 1.0), (0.25, 0.5), (1.0, 1.0), (3.0, 1.0)])
def test_tokens_are_weighed_by_the_tenants_shares(shares: tuple[float, float]) -> None:
    """Of prompts and answers, while both want more than there is."""
    rng, waiting, most = random.Random(7), WaitingQueue(Clock()), 40
    share, given = dict(zip("ab", shares, strict=True)), {"a": 0, "b": 0}
    for i in range(2000):
        for tenant in "ab":
            tokens = rng.randint(1, most)
            waiting.put_last(sequence(f"{tenant}{i}", tokens, tenant, NORMAL, share[tenant]))
    for _ in range(1000):
        one, answer = next(iter(waiting)), rng.randint(1, most)
        tenant = one.request.tenant
        waiting.serve(one.request.id)
        waiting.charge(tenant, answer / share[tenant])
        given[tenant] += len(one.tokens) + answer

        assert abs(given["a"] / share["a"] - given["b"] / share["b"]) <= 2 * most / min(shares)


def test_tenants_below_their_due_go_first() -> None:
    """So many of each, its higher classes first; then all others, as ever, and nobody twice."""
    waiting = queue(
        *(sequence(f"a{i}", 10, "a", HIGH) for i in range(2)),
        *(sequence(f"b{i}", 10, "b") for i in range(2)),
        sequence("low", 10, "b", LOW),
        sequence("late", 10, "c", needs=NEEDS_PAGES),
        *(sequence(f"c{i}", 10, "c", LOW) for i in range(3)),
    )
    waiting.charge("b", 5)
    claimed = [one.request.id for one in waiting.in_order({"b": 3, "c": 2, "d": 9}, {})]

    assert claimed == ["c0", "b0", "c1", "b1", "low", "a0", "a1", "late", "c2"]


def test_of_those_the_one_with_least_in_the_step_is_first() -> None:
    """By its share: so whoever finds no token of its due is the last who might."""
    long, short = sequence("long", 10, "a"), sequence("short", 10, "b", share=0.1)
    waiting = queue(long, sequence("again", 10, "a"), short)
    begun = {"a": 25, "b": 3}
    claimed = [one.request.id for one in waiting.in_order({"a": 2, "b": 1}, begun)]

    assert claimed == ["long", "short", "again"]
