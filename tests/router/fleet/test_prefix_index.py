"""Which worker has which prefix: told by events, promised by dispatches, bounded."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from raylax.router.fleet.prefix_index import ENTRY_BYTES, PROMISE_S, PrefixIndex


def matched(index: PrefixIndex, *names: int, rows: int = 3) -> list[float]:
    return list(index.matched(names, rows))


def test_pages_match_from_the_first_on() -> None:
    """One in the middle is worth nothing without those before it."""
    index = PrefixIndex()
    index.apply(0, [1, 2, 3], [])
    index.apply(1, [1, 3], [])
    index.apply(2, [2, 3], [])

    assert matched(index, 1, 2, 3) == [3, 1, 0]
    assert matched(index) == [0, 0, 0]


def test_removed_pages_match_no_more() -> None:
    index = PrefixIndex()
    index.apply(0, [1, 2], [])
    index.apply(0, [], [2])

    assert (matched(index, 1, 2), len(index)) == ([1, 0, 0], 1)


def test_a_snapshot_replaces_what_was_known() -> None:
    index = PrefixIndex()
    index.apply(0, [1, 2], [])
    index.apply(0, [7], [], snapshot=True)

    assert matched(index, 1) == [0, 0, 0]
    assert matched(index, 7) == [1, 0, 0]


def test_a_worker_that_left_is_forgotten_with_its_promises() -> None:
    index = PrefixIndex()
    index.apply(0, [1], [])
    index.promise(0, [2], now=0.0)
    index.apply(1, [1], [])
    index.forget(0)

    assert (matched(index, 1), matched(index, 2), len(index)) == ([0, 1, 0], [0, 0, 0], 1)


def test_what_was_sent_counts_for_some_seconds() -> None:
    """Unless the worker has confirmed it meanwhile."""
    index = PrefixIndex()
    index.promise(0, [1, 2], now=0.0)
    assert matched(index, 1, 2) == [2, 0, 0]
    index.apply(0, [1], [])
    index.promise(1, [], now=PROMISE_S)

    assert matched(index, 1, 2) == [1, 0, 0]


def test_the_index_is_bounded() -> None:
    """What was learned first goes first."""
    index = PrefixIndex(most_bytes=3 * ENTRY_BYTES)
    index.apply(0, [1, 2, 3, 4], [])

    assert len(index) == 3
    assert (matched(index, 1), matched(index, 4)) == ([0, 0, 0], [1, 0, 0])
    index.apply(0, [], [1])  # the worker does not know what was dropped here


events = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.lists(st.integers(0, 5), unique=True),
        st.lists(st.integers(0, 5), unique=True),
        st.booleans(),
    )
)


@given(events)
def test_it_agrees_with_a_set_for_each_worker(
    events: list[tuple[int, list[int], list[int], bool]],
) -> None:
    index, sets = PrefixIndex(), [set[int](), set[int](), set[int]()]
    for row, added, removed, snapshot in events:
        index.apply(row, added, removed, snapshot)
        sets[row] = ((set() if snapshot else sets[row]) | set(added)) - set(removed)

    for name in range(6):
        assert matched(index, name) == [float(name in known) for known in sets]


def test_an_entry_takes_no_more_than_is_said() -> None:
    """Of two workers of a large fleet."""
    index, names = PrefixIndex(), list(range(1 << 40, (1 << 40) + 20_000))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for row in (0, 900):
        index.apply(row, (name + 0 for name in names), [])
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert taken <= len(names) * ENTRY_BYTES
