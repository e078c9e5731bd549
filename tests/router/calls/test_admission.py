"""Who is let through, in which order, and who is told to come back later."""

import asyncio
import random
from collections.abc import Callable

import pytest

from raylax.proto.errors import Overloaded
from raylax.proto.vocabulary import Priority, Request
from raylax.router.calls.admission import Admission
from raylax.router.calls.journal import Journal, JournalEntry
from raylax.router.fleet.table import Fleet, WorkerView
from raylax.router.observe.timeline import Timeline
from raylax.router.workers.inbox import Inbox

PUMPED_BY_HAND_S = 1e6
ROOM_FOR_ONE = 1099
"""Tokens to do, of which a step of a hundred runs: a thousand behind it keep calls waiting."""
HIGH, NORMAL, LOW = Priority.HIGH, Priority.NORMAL, Priority.LOW


def worker(todo: float) -> WorkerView:
    """A millisecond a token, in steps of 100."""
    return WorkerView(
        "w", todo=todo, running=1, waiting=1, kv_capacity=1e6, room=100, a=1e-6, b=1e-3
    )


def entry_of(tenant: str, tokens: int, share: float = 1.0) -> JournalEntry:
    request = Request(f"of {tenant}", (1,) * tokens, 1, tenant=tenant, share=share)
    timeline = Timeline(request.id, lambda: 0.0)
    return JournalEntry(request, Inbox(lambda: None), timeline, deadline=60.0)


def on_its_way(tokens: int, *tenants: str) -> Journal:
    """What has been let in of each of these tenants and has not begun."""
    journal = Journal()
    for tenant in tenants:
        journal.begin(entry_of(tenant, tokens))
    return journal


def admission(todo: float, max_wait_s: float = 60.0) -> Admission:
    """Where each tenant has more than its part on its way, whoever it is."""
    journal = on_its_way(1000, *"abc", "big", "small")
    return Admission(Fleet.of([worker(todo)]), journal, lambda: 0.0, max_wait_s, hold_s=1.0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # it changes on this loop
            await asyncio.sleep(0)


async def test_a_call_passes_while_queues_are_short() -> None:
    made = admission(todo=900)
    await asyncio.wait_for(made.enter("a", NORMAL, 10, 60), 1)

    assert len(made) == 0


async def test_without_workers_nobody_is_held_here() -> None:
    await Admission(Fleet(), Journal(), lambda: 0.0, 60).enter("a", NORMAL, 10, 60)


async def test_a_call_that_could_not_start_in_time_is_told_when_to_come_back() -> None:
    """The limit is the router's or the call's own, whichever is sooner."""
    made = admission(todo=20_000, max_wait_s=15)

    with pytest.raises(
        Overloaded, match=r"after 20.* s, the limit is 15 s; try again in 6"
    ) as told:
        await made.enter("a", NORMAL, 10, 60)
    assert told.value.retry_after_s == 6
    with pytest.raises(Overloaded, match="the limit is 3 s"):
        await made.enter("a", NORMAL, 10, 3)


async def order(made: Admission, calls: list[tuple[str, Priority, int]]) -> list[int]:
    """In which the calls are let in, one each time somebody looks."""
    came: list[int] = []

    async def one(at: int, tenant: str, priority: Priority, tokens: int) -> None:
        await made.enter(tenant, priority, tokens, 60)
        came.append(at)

    async with asyncio.TaskGroup() as group:
        for at, call in enumerate(calls):
            group.create_task(one(at, *call))
            await until(lambda at=at: len(made) == at + 1)  # type: ignore[misc]
        made.fleet.todo[0] = ROOM_FOR_ONE
        for count in range(len(calls)):
            made.pump()
            await until(lambda count=count: len(came) == count + 1)  # type: ignore[misc]
    return came


async def test_higher_classes_go_first() -> None:
    calls = [("a", LOW, 10), ("a", NORMAL, 10), ("a", HIGH, 10), ("a", NORMAL, 10)]

    assert await order(admission(todo=2000), calls) == [2, 1, 3, 0]


async def test_tenants_share_by_tokens_not_by_calls() -> None:
    """One with long prompts waits for the other's many short ones."""
    calls = [("big", NORMAL, 1000)] * 2 + [("small", NORMAL, 100)] * 4

    assert await order(admission(todo=2000), calls) == [0, 2, 3, 4, 5, 1]


async def test_tokens_are_weighed_by_the_tenants_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has twice the share gets twice the tokens, while both want more than there is."""
    monkeypatch.setattr("raylax.router.calls.admission.PUMP_EVERY_S", PUMPED_BY_HAND_S)
    made, given = admission(todo=2000), {"a": 0, "b": 0}

    async def ask(tenant: str, share: float) -> None:
        while sum(given.values()) < 3000:
            await made.enter(tenant, NORMAL, 10, 60, share)
            given[tenant] += 30
            made.generated(tenant, 10, share)

    callers = [asyncio.create_task(ask(*one)) for one in (("a", 2.0), ("b", 1.0)) for _ in range(8)]
    await until(lambda: len(made) == 16)
    made.fleet.todo[0] = ROOM_FOR_ONE
    while sum(given.values()) < 3000:
        before = sum(given.values())
        made.pump()
        await until(lambda before=before: sum(given.values()) > before)  # type: ignore[misc]
        await until(lambda: len(made) == 16 or sum(given.values()) >= 3000)
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)

    assert given["a"] == pytest.approx(2 * given["b"], abs=3 * 30)


async def test_as_many_go_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else workers would run dry while hundreds of short calls wait here."""
    monkeypatch.setattr("raylax.router.calls.admission.PUMP_EVERY_S", PUMPED_BY_HAND_S)
    made = admission(todo=2000)
    asked = [asyncio.create_task(made.enter("a", NORMAL, 10, 60)) for _ in range(60)]
    await until(lambda: len(made) == 60)
    made.fleet.todo[0] = 900
    made.pump()

    assert len(made) == 40
    await leave(asked)


async def test_one_tenant_is_served_in_order() -> None:
    assert await order(admission(todo=2000), [("a", NORMAL, 9)] * 4) == [0, 1, 2, 3]


async def test_who_leaves_the_queue_is_not_let_in() -> None:
    made = admission(todo=2000)
    asking = asyncio.create_task(made.enter("a", NORMAL, 10, 60))
    await until(lambda: len(made) == 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    assert len(made) == 0


@pytest.fixture
def crowd(monkeypatch: pytest.MonkeyPatch) -> Admission:
    """Of a greedy tenant a hundred calls wait, of the highest class; its share is 1."""
    monkeypatch.setattr("raylax.router.calls.admission.PUMP_EVERY_S", PUMPED_BY_HAND_S)
    journal = on_its_way(2000, "greedy")
    return Admission(Fleet.of([worker(2000)]), journal, lambda: 0.0, 60.0, hold_s=1.0)


async def crowded(made: Admission, calls: int = 100) -> "list[asyncio.Task[None]]":
    asked = [asyncio.create_task(made.enter("greedy", HIGH, 500, 60)) for _ in range(calls)]
    await until(lambda: len(made) == calls)
    return asked


async def leave(asked: "list[asyncio.Task[None]]") -> None:
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)


@pytest.mark.parametrize("priority", list(Priority))
async def test_who_is_below_its_share_does_not_wait(crowd: Admission, priority: Priority) -> None:
    """Behind nobody else's calls, whatever their class."""
    asked = await crowded(crowd)
    await asyncio.wait_for(crowd.enter("small", priority, 10, 60), 1)

    assert len(crowd) == 100
    await leave(asked)


@pytest.mark.parametrize(
    ("share", "routers", "passes"), [(1, 1, True), (0.1, 1, False), (1, 3, False)]
)
async def test_it_passes_until_it_has_its_part_on_its_way(
    crowd: Admission, share: float, routers: int, passes: bool
) -> None:
    """200 of its tokens are: a fifth of what may wait there."""
    crowd.fleet.routers = routers
    crowd.journal.begin(entry_of("small", 200, share))
    asked = await crowded(crowd)
    asked.append(asyncio.create_task(crowd.enter("small", LOW, 10, 60, share)))
    await until(lambda: asked[-1].done() or len(crowd) == 101)

    assert asked[-1].done() == passes
    await leave(asked)


async def test_it_passes_when_what_it_had_has_begun(crowd: Admission) -> None:
    """Then nobody else gives way but in the workers."""
    crowd.journal.begin(large := entry_of("small", 2000))
    asked = await crowded(crowd)
    waits = asyncio.create_task(crowd.enter("small", NORMAL, 10, 60))
    await until(lambda: len(crowd) == 101)
    crowd.pump()
    assert len(crowd) == 101
    large.emitted.append(5)
    crowd.pump()
    await asyncio.wait_for(waits, 1)

    assert len(crowd) == 100
    await leave(asked)


async def test_a_tenants_own_calls_keep_their_order(crowd: Admission) -> None:
    crowd.journal.begin(large := entry_of("small", 2000))
    asked = await crowded(crowd)
    first = asyncio.create_task(crowd.enter("small", NORMAL, 10, 60))
    await until(lambda: len(crowd) == 101)
    large.emitted.append(5)
    second = asyncio.create_task(crowd.enter("small", NORMAL, 10, 60))
    await until(lambda: len(crowd) == 102)
    crowd.pump()
    await asyncio.wait_for(first, 1)

    assert not second.done()
    await leave([*asked, second])


async def test_the_expected_wait_is_that_of_its_own_calls(crowd: Admission) -> None:
    """Others' fill a minute, and who has those is refused; of it everybody is told the truth."""
    asked = await crowded(crowd, 115)
    await asyncio.wait_for(crowd.enter("small", NORMAL, 10, limit_s=1.0), 1)
    with pytest.raises(Overloaded, match=r"after 60.* s, the limit is 60 s"):
        await crowd.enter("greedy", HIGH, 500, 60)
    with pytest.raises(Overloaded, match=r"after 10.* s, the limit is 5 s"):
        await crowd.enter("small", HIGH, 5000, 5)
    await leave(asked)


# Where there is a target for the first token


def with_target(todo: float, next_ready_s: float | None = None) -> Admission:
    made = admission(todo)
    made.target_s, made.next_ready_s = 1.5, lambda _: next_ready_s
    made.rng = random.Random(0)
    return made


async def test_who_would_miss_the_target_is_refused_at_once() -> None:
    """And not only who would wait for a minute; without a target everybody may wait that long."""
    with pytest.raises(Overloaded, match="the limit is 1.5 s"):
        await with_target(todo=20_000).enter("a", NORMAL, 10, 60)
    await asyncio.wait_for(with_target(todo=900).enter("a", NORMAL, 10, 60), 1)


async def test_an_own_deadline_that_is_sooner_counts() -> None:
    with pytest.raises(Overloaded, match="the limit is 0.5 s"):
        await with_target(todo=900).enter("new", NORMAL, 10, 0.5)


async def retry_after(made: Admission) -> float:
    with pytest.raises(Overloaded) as told:
        await made.enter("new", NORMAL, 10, 60)
    assert told.value.retry_after_s is not None
    return told.value.retry_after_s


async def test_who_is_refused_comes_back_when_the_queue_is_gone_or_a_worker_is_there() -> None:
    """Whichever is sooner, and not all at once: a quarter sooner or later."""
    wait = await retry_after(with_target(todo=20_000))
    soon = with_target(todo=20_000, next_ready_s=8.0)
    spread = {await retry_after(soon) for _ in range(50)}
    at_once = await retry_after(with_target(todo=20_000, next_ready_s=0.0))

    assert 15 <= wait <= 26
    assert {7, 8, 9, 10} <= spread <= {6, 7, 8, 9, 10}
    assert at_once == 1


async def test_without_workers_who_cannot_wait_for_a_start_is_refused() -> None:
    """The others are held: who looks for a worker waits for one."""
    made = Admission(Fleet(), Journal(), lambda: 0.0, 60, next_ready_s=lambda _: 20.0)
    await made.enter("a", NORMAL, 10, 30)

    with pytest.raises(Overloaded, match=r"after 20.0 s, the limit is 10 s; try again in 10 s"):
        await made.enter("a", NORMAL, 10, 10)
