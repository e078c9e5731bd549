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
async def keeping(most: int) -> AsyncIterator[KeptAnswers]:
    answers = KeptAnswers(60, most)
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
