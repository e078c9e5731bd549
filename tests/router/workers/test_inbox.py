"""What a call reads of its inbox, and when it is woken."""

import asyncio

from raylax.proto.vocabulary import Delta, Finish
from raylax.router.workers.inbox import (
    DeadlineReached,
    Inbox,
    InboxItem,
    WorkerOutput,
)

TOKEN = WorkerOutput("w0", Delta("r", (5,)))
END = WorkerOutput("w0", Delta("r", (6,), finish=Finish.LENGTH))


def inbox() -> Inbox:
    return Inbox(on_full=lambda: None)


async def woken_by(*items: InboxItem, enough: int) -> list[InboxItem]:
    """What a reader gets that waits already; each item comes when it sleeps again."""
    box = inbox()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(box.take(enough))
        for item in items:
            await asyncio.sleep(0)
            assert not reading.done()
            box.put(item)
    return reading.result()


async def test_what_has_come_together_is_taken_together() -> None:
    """And it is taken once."""
    box = inbox()
    for item in (TOKEN, TOKEN, END):
        box.put(item)

    assert await box.take() == [TOKEN, TOKEN, END]
    assert len(box) == 0


async def test_a_token_wakes_who_waits_for_it() -> None:
    assert await woken_by(TOKEN, enough=1) == [TOKEN]


async def test_who_waits_for_several_tokens_sleeps_until_they_are_there() -> None:
    assert await woken_by(TOKEN, TOKEN, TOKEN, enough=3) == [TOKEN] * 3


async def test_an_end_wakes_who_waits_for_more() -> None:
    assert await woken_by(TOKEN, END, enough=64) == [TOKEN, END]


async def test_whatever_is_no_token_wakes_who_waits_for_more() -> None:
    assert await woken_by(TOKEN, DeadlineReached(), enough=64) == [TOKEN, DeadlineReached()]
