"""Who is taken in by an engine, before its thread knows of them."""

import pytest

from raylax.proto.errors import Overloaded
from raylax.proto.vocabulary import Request
from raylax.worker.engine.commands import CommandQueue
from raylax.worker.engine.process_guard import ProcessGuard


def accept(commands: CommandQueue, id: str, tenant: str, capacity: int = 4) -> int:
    return commands.accept(Request(id, (1,), 1, tenant=tenant), capacity, lambda: None)


def test_a_tenant_that_has_filled_the_queue_leaves_another_its_part() -> None:
    commands = CommandQueue(ProcessGuard())
    for number in range(4):
        accept(commands, f"bob's {number}", "bob")
    with pytest.raises(Overloaded, match="at most 4 requests may run or wait"):
        accept(commands, "bob's next", "bob")
    for number in range(2):
        accept(commands, f"alice's {number}", "alice")
    with pytest.raises(Overloaded):
        accept(commands, "alice's next", "alice")

    assert len(commands.live) == 6


def test_places_come_free_as_requests_end() -> None:
    """Each once, also for who hears of its end twice."""
    commands = CommandQueue(ProcessGuard())
    for number in range(4):
        accept(commands, f"{number}", "bob")
    for _ in range(2):
        commands.ended(["0", "unheard-of"])

    assert accept(commands, "next", "bob") == 5
    with pytest.raises(Overloaded):
        accept(commands, "one more", "bob")


def test_a_reload_may_change_how_many_there_are() -> None:
    commands = CommandQueue(ProcessGuard())
    accept(commands, "first", "bob", capacity=1)

    assert accept(commands, "second", "bob", capacity=2) == 2


def test_parts_are_by_the_shares_that_requests_say() -> None:
    commands = CommandQueue(ProcessGuard())
    for number in range(4):
        accept(commands, f"bob's {number}", "bob")
    for number in range(3):
        commands.accept(Request(f"{number}", (1,), 1, tenant="alice", share=3.0), 4, lambda: None)
    with pytest.raises(Overloaded):
        commands.accept(Request("one more", (1,), 1, tenant="alice", share=3.0), 4, lambda: None)

    assert len(commands.live) == 7
