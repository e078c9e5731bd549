"""The queue: order, places by id, and the count of tokens."""

import itertools
import random

import pytest

from raylax.proto.vocabulary import Priority, Request
from raylax.worker.sequence import Sequence
from raylax.worker.waiting import Waiting

HIGH, NORMAL, LOW = Priority


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def sequence(id: str, tokens: int, tenant: str = "", priority: Priority = NORMAL) -> Sequence:
    return Sequence(Request(id, tuple(range(tokens)), 1, tenant=tenant, priority=priority))


def queue(*sequences: Sequence) -> Waiting:
    made = Waiting(Clock())
    for one in sequences:
        made.put_last(one)
    return made


def order(waiting: Waiting) -> list[str]:
    return [one.request.id for one in waiting]


def served(waiting: Waiting) -> list[str]:
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
    taken = waiting.take("b")

    assert taken is not None and taken.request.id == "b"
    assert waiting.take("b") is None
    assert (order(waiting), waiting.tokens) == (["a", "c"], 8)


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


def test_looking_changes_nothing() -> None:
    """The order as it would be is the order as it is then."""
    rng = random.Random(4)
    waiting = queue(
        *(
            sequence(f"r{i}", rng.randint(1, 50), rng.choice("abc"), rng.choice(list(Priority)))
            for i in range(60)
        )
    )
    for tenant in "abc":
        waiting.charge(tenant, rng.randint(0, 100))
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
    waiting = Waiting(clock)
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
    waiting = Waiting(clock)
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
    waiting, given, most = Waiting(Clock()), {"a": 0, "b": 0}, 40
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
