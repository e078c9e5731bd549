"""Every new token meets all its keys once, however the work is divided."""

import numpy as np
import pytest

from raylax.kernels.cuda.step.work_list import Division, Ints, WorkList


def work_list(
    lengths: list[int],
    before: list[int],
    queries: int = 16,
    places: int = 132,
    slots: int = 4096,
    window: int = 0,
    sinks: int = 0,
    group: int = 4,
) -> WorkList:
    starts = np.array([0, *np.cumsum(lengths)], np.int32)
    keys = np.array(before, np.int32) + np.array(lengths, np.int32)
    return Division(group, 8, places, slots, window, sinks).work_list(starts, keys, queries)


def splits_met(work: WorkList, window: int = 0, sinks: int = 0) -> dict[int, list[int]]:
    """Of each new token: the splits that `attend` walks for it, in the order of their merge. As it
    does, the numbers of the work list are taken without those between the sinks and the window."""
    met: dict[int, list[int]] = {}
    by_slot = {int(item[6]): item for item in work.items if item[6] >= 0}
    aside = -(-sinks // 512)

    def walked(item: list[int]) -> list[int]:
        between = max((item[2] - window + 1) // 512 - aside, 0) if sinks else 0
        numbers = range(item[4], item[4] + item[5])
        return [number if number < aside else number + between for number in numbers]

    for item in work.items.tolist():
        _, start, _, rows, *_, slot, _ = item
        if slot < 0:
            for token in range(start, start + rows):
                assert token not in met
                met[token] = walked(item)
    for token, own, first, slots in work.rows.tolist():
        assert token not in met
        met[token] = []
        for slot in range(first, first + slots):
            item = by_slot[slot]
            assert item[1] + own == token
            assert own < item[3]
            assert item[5] == 1
            met[token] += walked(item.tolist())
    return met


RAGGED = [1, 37, 0, 1, 4, 300, 1], [9000, 0, 50, 511, 512, 700, 0]


@pytest.mark.parametrize(("window", "sinks"), [(0, 0), (600, 0), (1, 0), (600, 4), (1, 513)])
@pytest.mark.parametrize(
    "places, slots", [(132, 4096), (1, 4096), (132, 0), (132, 19), (5000, 9999)]
)
def test_every_token_meets_every_split_that_it_sees(
    places: int, slots: int, window: int, sinks: int
) -> None:
    """Once, and of others at most one on either side, which another token of its tile sees."""
    lengths, before = RAGGED
    work = work_list(lengths, before, places=places, slots=slots, window=window, sinks=sinks)

    met, token = splits_met(work, window, sinks), 0
    for length, seen in zip(lengths, before, strict=True):
        for position in range(seen, seen + length):
            first = max(0, position - window + 1) // 512 if window else 0
            splits = range(position // 512 + 1)
            wanted = {split for split in splits if split >= first or split * 512 < sinks}
            assert wanted <= {*met[token]}
            assert len(met[token]) <= len(wanted) + 2
            assert met[token] == sorted({*met[token]})
            token += 1
    assert len(met) == token
    assert work.slots <= slots


def test_items_say_where_tokens_and_keys_are() -> None:
    work = work_list([1, 6, 1], [700, 10, 0], queries=16, places=1)

    assert work.items.tolist() == [
        [0, 0, 700, 1, 0, 2, -1, 701],
        [1, 1, 10, 4, 0, 1, -1, 14],
        [1, 5, 14, 2, 0, 1, -1, 16],
        [2, 7, 0, 1, 0, 1, -1, 1],
    ]
    assert work.slots == 0


def test_few_long_sequences_are_divided_and_many_are_not() -> None:
    alone = work_list([1], [8000])
    many = work_list([1] * 256, [1000] * 256)
    odd = work_list([1] * 256, [1000] * 255 + [120_000])

    assert len(alone.items) == alone.slots == 16
    assert many.slots == 0
    assert len(many.items) == 256
    assert odd.slots == -(-120_001 // 512)
    assert odd.rows.tolist() == [[255, 0, 0, 235]]


def test_slots_go_to_the_longest() -> None:
    work = work_list([1, 1, 1], [3000, 9000, 2000], slots=20)

    assert work.slots == 18
    assert work.rows.tolist() == [[1, 0, 0, 18]]


def test_an_empty_step_has_no_work() -> None:
    assert [len(x) for x in work_list([0], [5])[:2]] == [0, 0]
    assert [len(x) for x in work_list([], [])[:2]] == [0, 0]


def test_a_tile_has_a_query_for_each_head_of_its_group() -> None:
    with pytest.raises(ValueError, match="a tile needs 7 queries, has 4"):
        work_list([1], [0], queries=4, group=7)


def buffers(items: int, rows: int) -> tuple[Ints, Ints]:
    return np.full((items, 8), 9, np.int32), np.full((rows, 4), 9, np.int32)


def test_frozen_grids_are_filled() -> None:
    work, (items, rows) = work_list([1, 1], [4000, 0]), buffers(12, 2)

    work.write(items, rows)

    assert np.array_equal(items[:9], work.items)
    assert np.array_equal(rows[:1], work.rows)
    assert (items[9:] == [0, 0, 0, 0, 0, 0, -1, 0]).all()
    assert (rows[1:] == 0).all()


@pytest.mark.parametrize(
    "items, rows, what", [(8, 2, "8 items, given 9"), (9, 0, "0 rows, given 1")]
)
def test_a_graph_without_room_says_so(items: int, rows: int, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        work_list([1, 1], [4000, 0]).write(*buffers(items, rows))
