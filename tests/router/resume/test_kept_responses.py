"""Responses that are kept are bounded, and each tenant may keep its part of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from raylax.router.resume.kept_responses import KeptResponses
from tests.support.router_rig import until


@asynccontextmanager
async def keeping(
    most: int = 100, most_bytes: int = 1 << 20, ttl_s: float = 60
) -> AsyncIterator[KeptResponses]:
    responses = KeptResponses(ttl_s, most, most_bytes)
    yield responses
    responses.close()
    assert (len(responses), responses.size) == (0, 0)


def written(size: int) -> Callable[[], bytes]:
    return partial(bytes, size)


def keep(responses: KeptResponses, tenant: str, *ids: str, size: int = 20) -> list[bool]:
    """Half of its bytes are what it answers; whether it had a place when it began."""
    begun = []
    for id in ids:
        begun.append(responses.begin(id, tenant, bytes(size // 2), written(size // 2)))
        responses.end(id)
    return begun


def kept(responses: KeptResponses, tenant: str, ids: str) -> str:
    return "".join(id for id in ids if responses.find(id, tenant) is not None)


async def test_who_keeps_too_many_loses_the_oldest() -> None:
    """That were not used: to look for one uses it."""
    async with keeping(most=3) as responses:
        assert keep(responses, "bob", *"123") == [True] * 3
        assert kept(responses, "bob", "1") == "1"
        keep(responses, "bob", "4")

        assert kept(responses, "bob", "1234") == "134"


async def test_however_many_there_are_and_how_large_they_are_bounded() -> None:
    """By bytes as by number: of what came later there is as much as fits."""
    async with keeping(most=50, most_bytes=1000) as responses:
        for number in range(500):
            keep(responses, f"tenant {number % 3}", str(number), size=2 + number % 90)
            assert responses.size <= 1000 and len(responses) <= 50

        assert responses.size > 800


async def test_a_tenant_has_its_part_beside_others() -> None:
    """Of who has most the oldest go."""
    async with keeping(most=4) as responses:
        keep(responses, "alice", *"1234")
        keep(responses, "bob", *"56")
        assert kept(responses, "alice", "1234") == "34"
        keep(responses, "bob", "7")

        assert kept(responses, "alice", "34") == "34"
        assert kept(responses, "bob", "567") == "67"


async def test_what_is_too_large_costs_nothing_else() -> None:
    """Neither at its beginning nor at its end."""
    async with keeping(most_bytes=100) as responses:
        keep(responses, "bob", *"12")
        assert keep(responses, "bob", "3", size=202) == [False]
        assert keep(responses, "bob", "4", size=200) == [True]  # it grows beyond by its end

        assert kept(responses, "bob", "1234") == ""  # room was made for its beginning
        keep(responses, "bob", *"12")
        assert responses.begin("5", "bob", bytes(50), written(51))
        responses.end("5")
        assert kept(responses, "bob", "125") == "12"


async def test_another_tenants_is_as_unknown() -> None:
    """To be found, or forgotten; and so is one that has not ended."""
    async with keeping() as responses:
        keep(responses, "alice", "1")
        responses.begin("2", "alice", b"", written(1))

        assert responses.find("1", "bob") is None and not responses.forget("1", "bob")
        assert responses.find("2", "alice") is None and not responses.forget("2", "alice")
        assert responses.forget("1", "alice") and not responses.forget("1", "alice")


async def test_what_is_given_up_leaves_nothing() -> None:
    """Unless it has ended."""
    async with keeping() as responses:
        responses.begin("1", "bob", b"12345", written(1))
        responses.give_up("1")
        responses.end("1")
        responses.end("never begun")
        keep(responses, "bob", "2")
        responses.give_up("2")

        assert kept(responses, "bob", "12") == "2"
        assert responses.size == 20


async def test_its_time_begins_anew_with_each_use() -> None:
    """And ends it, ended or not."""
    async with keeping(ttl_s=0.05) as responses:
        keep(responses, "bob", "1")
        first = responses._places["1"].timer.when()
        assert kept(responses, "bob", "1") == "1"
        assert responses._places["1"].timer.when() > first
        responses.begin("2", "bob", b"", written(1))
        await until(lambda: not len(responses))
