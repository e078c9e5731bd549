"""Every collective on every backend, against numpy, and to the bit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support import comm_work as work
from tests.support.comm_groups import (
    CAPACITY,
    FORMERS,
    Group,
    Pool,
    group_of,
)
from tests.support.comm_ranks import until
from tests.support.comm_work import brought

SIZES = [0, 1, 7, 1000, 3 * CAPACITY + 1]
"""In float32 the last one is thirteen chunks, the last of which is not full."""
DTYPES = ["float32", "float64", "float16", "int8", "int32", "int64", "uint8"]
WORLDS = [1, 2, 3, 4]


@pytest.fixture(
    scope="module",
    params=[(name, world) for name in FORMERS for world in WORLDS],
    ids=lambda param: f"{param[0]}-{param[1]}",
)
def group(request: pytest.FixtureRequest, pool: Pool) -> Iterator[Group]:
    backend, world = request.param
    with group_of(backend, world, pool) as group:
        yield group


def same(found: Any, expected: Any) -> bool:
    """To the bit."""
    return bool(found.dtype == expected.dtype and found.tobytes() == expected.tobytes())


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_allreduce_adds_in_the_order_of_ranks(group: Group, dtype: str) -> None:
    """Rank 0 and 1, then 2, then 3: to the bit what numpy makes of that, on every rank."""
    for size in SIZES:
        expected = brought(0, size, dtype)
        for rank in range(1, group.world):
            expected = expected + brought(rank, size, dtype)

        for found in group.run(work.allreduce, size, dtype):
            assert same(found, expected), size


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_an_allgather_brings_everybodys_part_to_everybody(group: Group, dtype: str) -> None:
    for size in SIZES:
        for parts in group.run(work.allgather, size, dtype):
            for rank, part in enumerate(parts):
                assert same(part, brought(rank, size, dtype)), (size, rank)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_broadcast_copies_the_roots_array(group: Group, dtype: str) -> None:
    for size in SIZES:
        for root in range(group.world):
            for found in group.run(work.broadcast, size, dtype, root):
                assert same(found, brought(root, size, dtype)), (size, root)


def test_messages_are_passed_on_in_order(group: Group) -> None:
    """Through all ranks, as between the stages of a pipeline."""
    for passed in group.run(work.pass_on, SIZES, "float32"):
        for size, array in zip(SIZES, passed, strict=True):
            assert same(array, brought(0, size, "float32")), size


def test_nobody_passes_a_barrier_before_all_have_come(group: Group) -> None:
    """The others are seen waiting in it until the last one comes."""
    *early, last = range(group.world)
    group.begin(work.barrier, ranks=early)
    until(lambda: all(group.ranks[rank].aside(work.is_in, "barrier") for rank in early))
    group.begin(work.barrier, ranks=[last])

    assert group.outcomes() == [None] * group.world


def test_collectives_of_every_kind_follow_each_other(group: Group) -> None:
    """No rank overwrites what another has not read yet."""
    assert group.run(work.many, 100) == [0] * group.world


def test_all_may_send_megabytes_at_once(group: Group) -> None:
    """Nobody waits for a peer that waits for them."""
    size = 700_001
    for parts in group.run(work.allgather, size, "float32"):
        assert all(same(part, brought(rank, size, "float32")) for rank, part in enumerate(parts))


def test_an_object_reaches_every_rank(group: Group) -> None:
    """Of any size, from any rank."""
    for value in [None, {"rank": [1, 2.5, "three"]}, "x" * (5 * CAPACITY)]:
        root = group.world - 1
        assert group.run(work.told, value, root) == [value] * group.world


def test_objects_of_all_ranks_are_gathered(group: Group) -> None:
    """Whatever their sizes, in the order of ranks."""
    values = [{"rank": rank, "stack": "f" * (rank * CAPACITY)} for rank in range(group.world)]
    for rank, value in zip(group.ranks, values, strict=True):
        rank.begin(work.gathered, value)

    assert group.outcomes() == [values] * group.world


def test_an_object_that_cannot_be_pickled_is_an_error_on_every_rank(group: Group) -> None:
    """And no rank waits for it: the group goes on."""
    group.begin(work.gathered_lock)
    outcomes = group.outcomes()

    assert {str(outcome) for outcome in outcomes} == {
        "the value of rank 0 cannot be pickled: TypeError: cannot pickle '_thread.lock' object"
    }
    assert group.run(work.barrier) == [None] * group.world


def test_arrays_that_no_rank_can_exchange(group: Group) -> None:
    """Are refused before anybody waits for them."""
    with pytest.raises(ValueError, match=r"contiguous arrays, found strides \(16,\)"):
        group.run(work.allreduce_every_second)
    with pytest.raises(ValueError, match=f"ranks of a world of {group.world} are 0 to"):
        group.run(work.broadcast, 1, "int8", group.world)
    with pytest.raises(ValueError, match="cannot send to itself"):
        group.run(work.send_to_itself)


def test_the_order_of_the_sum_is_visible() -> None:
    """In these very numbers: else the tests above could not tell one order from another."""
    one, two, three = (brought(rank, 1000, "float32") for rank in range(3))

    assert not np.array_equal(one + two + three, one + (two + three))
