"""Answers that are kept are bounded, and each tenant may keep its part of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress

import pytest

from raylax.proto.errors import NotFound, Overloaded
from raylax.router.resume.kept_answers import KeptAnswers


async def endless() -> AsyncGenerator[bytes]:
    """An answer with one part, which is not over."""
    yield b"part"
    await asyncio.Event().wait()


@asynccontextmanager
async def keeping(most: int, most_bytes: int = 1 << 20) -> AsyncIterator[KeptAnswers]:
    answers = KeptAnswers(60, most, most_bytes)
    yield answers
    await answers.close()


def begin(answers: KeptAnswers, tenant: str, *names: str) -> None:
    for name in names:
        answers.begin(name, tenant, endless(), 60)


def kept(answers: KeptAnswers, tenant: str, *names: str) -> list[str]:
    """Which of these are kept."""
    found = []
    for name in names:
        with suppress(NotFound):
            answers.find(name, tenant)
            found.append(name)
    return found


async def test_who_has_kept_all_that_there_are_is_refused_the_next() -> None:
    async with keeping(2) as answers:
        begin(answers, "bob", "1", "2")
        with pytest.raises(Overloaded, match="at most 2 answers .* 2 of them are yours"):
            begin(answers, "bob", "3")

        assert kept(answers, "bob", "1", "2", "3") == ["1", "2"]


async def test_anothers_takes_the_place_of_the_oldest() -> None:
    """As often as it is within its part. What the other one keeps of it goes on."""
    async with keeping(4) as answers:
        begin(answers, "bob", "1", "2", "3", "4")
        begin(answers, "alice", "a", "b")
        with pytest.raises(Overloaded):
            begin(answers, "alice", "c")

        assert kept(answers, "bob", "1", "2", "3", "4") == ["3", "4"]
        assert kept(answers, "alice", "a", "b") == ["a", "b"]
        assert len(answers) == 4


async def test_an_answer_that_is_being_read_stays() -> None:
    """Rather one more is kept, until somebody comes who finds one that nobody reads."""
    async with keeping(3) as answers, AsyncExitStack() as reading:
        begin(answers, "bob", "1", "2", "3")
        readers = {name: answers.read(name, "bob") for name in "123"}
        for reader in readers.values():
            await anext(await reading.enter_async_context(aclosing(reader)))
        begin(answers, "alice", "a")
        assert kept(answers, "bob", *"123") == ["1", "2", "3"]

        await readers["2"].aclose()
        await readers["3"].aclose()
        begin(answers, "carol", "c")

        assert kept(answers, "bob", *"123") == ["1"]
        assert len(answers) == 3


async def parts_of(count: int) -> AsyncGenerator[bytes]:
    """An answer of so many parts, with ten bytes each."""
    for _ in range(count):
        yield b"0123456789"


async def ended(answers: KeptAnswers, name: str, tenant: str, count: int) -> int:
    """The parts of an answer that has so many, as far as it came; then nobody reads it."""
    answers.begin(name, tenant, parts_of(count), 60)
    return len([part async for part in answers.read(name, tenant)])


async def test_large_answers_make_room_for_later_ones() -> None:
    """The tenant's own, the oldest first."""
    async with keeping(9, most_bytes=60) as answers:
        for name in "123":
            assert await ended(answers, name, "bob", 3) == 3

        assert kept(answers, "bob", *"123") == ["2", "3"]


async def test_large_answers_leave_room_for_anothers() -> None:
    """Those of who has kept most go; what fits into the tenant's own part takes nothing of it."""
    async with keeping(9, most_bytes=60) as answers:
        await ended(answers, "a", "alice", 1)
        for name in "12":
            await ended(answers, name, "bob", 2)
        assert await ended(answers, "b", "alice", 2) == 2

        assert kept(answers, "alice", *"ab") == ["a", "b"]
        assert kept(answers, "bob", *"12") == ["2"]


async def test_an_answer_that_outgrows_everything_ends() -> None:
    """Its reader has what came before, and is told why; its bytes are given back."""
    async with keeping(9, most_bytes=60) as answers:
        answers.begin("1", "bob", parts_of(9), 60)
        read = []
        with pytest.raises(Overloaded, match="may have 60 bytes, 60 are yours and 10 more"):
            async for part in answers.read("1", "bob"):
                read.append(part)

        assert len(read) == 6
        assert await ended(answers, "2", "bob", 6) == 6
        assert kept(answers, "bob", *"12") == ["2"]


async def test_one_that_nobody_reads_may_be_forgotten_as_it_grows() -> None:
    async with keeping(9, most_bytes=60) as answers:
        answers.begin("1", "bob", parts_of(9), 60)
        async with asyncio.timeout(10):
            while len(answers):  # noqa: ASYNC110  # it changes on this loop
                await asyncio.sleep(0)

        assert await ended(answers, "2", "bob", 6) == 6
