"""Who is in an engine, by class and by tenant, as a worker reports it."""

from raylax.proto.vocabulary import Priority, Request
from raylax.worker.engine.census import MOST_TENANTS, NOBODY, OTHERS, Present, census_of
from raylax.worker.kv.page_pool import PagePool
from raylax.worker.scheduling.roster import Roster
from raylax.worker.scheduling.sequence import Sequence


def roster(*requests: Request, admitted: int = 0) -> Roster:
    """With so many of them in the batch."""
    made = Roster(PagePool(1000))
    for request in requests:
        made.add(Sequence(request))
    for request in requests[:admitted]:
        made.admit(request.id)
    return made


def request(id: str, tenant: str, priority: Priority = Priority.NORMAL, tokens: int = 5) -> Request:
    return Request(id, tuple(range(tokens)), 4, tenant=tenant, priority=priority)


def test_each_is_counted_in_its_class_and_as_its_tenants() -> None:
    """With the tokens that are computed before it decodes."""
    there = census_of(
        roster(
            request("1", "ann"),
            request("2", "ann", Priority.HIGH, tokens=7),
            request("3", "bob", Priority.LOW, tokens=9),
            admitted=1,
        )
    )

    assert there.classes == {
        "high": Present(0, 1, 7), "normal": Present(1, 0, 5), "low": Present(0, 1, 9)
    }  # fmt: skip
    assert there.tenants == {"ann": Present(1, 1, 12), "bob": Present(0, 1, 9)}


def test_those_with_most_requests_are_told_apart_and_the_others_are_one() -> None:
    requests = [
        request(f"{tenant}-{number}", f"t{tenant:02}")
        for tenant in range(MOST_TENANTS + 4)
        for number in range(1 + tenant)
    ]
    there = census_of(roster(*requests)).tenants

    assert len(there) == MOST_TENANTS + 1
    assert list(there)[0] == f"t{MOST_TENANTS + 3}"
    assert there[OTHERS] == Present(0, 1 + 2 + 3 + 4, 5 * 10)


def test_in_an_empty_engine_every_class_is_empty() -> None:
    assert census_of(roster()) == NOBODY
