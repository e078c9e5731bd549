"""The work list of attention: every row meets all of its keys once, in tasks of fair size."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raylax.kernels.cpu.step.worklist import (
    KEYS,
    ROWS,
    WHOLE,
    WorkList,
    bounds,
    work_list,
)

Step = Sequence[tuple[int, int]]  # of each sequence: new tokens, keys before them
LONGEST = 9000
STEPS = st.lists(
    st.tuples(st.integers(1, 90), st.integers(0, LONGEST - 90)), min_size=1, max_size=9
)
GROUPS, KV_HEADS, WORKERS = st.integers(1, 9), st.integers(1, 4), st.integers(1, 6)


WINDOWS = st.sampled_from([0, 0, 1, 255, 256, 257, 1000, 5000])


def listed(
    step: Step, group: int = 4, kv_heads: int = 1, workers: int = 2, window: int = 0
) -> WorkList:
    counts = np.array([new for new, _ in step], np.int32)
    starts = np.concatenate(([0], counts.cumsum())).astype(np.int32)
    lengths = np.array([new + before for new, before in step], np.int32)
    return work_list(starts, lengths, group, kv_heads, workers, window)


@given(STEPS, GROUPS, KV_HEADS, WORKERS, WINDOWS)
def test_every_tile_meets_each_of_its_blocks_once(
    step: Step, group: int, kv_heads: int, workers: int, window: int
) -> None:
    """Parts of a tile follow each other from block 0, or the first that its first row sees of a
    window, to the last that its last row sees."""
    want = []
    for sequence, (new, before) in enumerate(step):
        for first in range(0, new * group, ROWS):
            last = min(first + ROWS, new * group) - 1
            blocks = -(-(before + last // group + 1) // KEYS)
            seen = range(before + first // group + 1)[-window:]
            want += [(sequence, first, block) for block in range(seen[0] // KEYS, blocks)]

    parts = listed(step, group, kv_heads, workers, window).parts.tolist()
    met = [(s, first, block) for s, first, begin, end, _ in parts for block in range(begin, end)]

    assert sorted(met) == want


@given(STEPS, GROUPS, KV_HEADS, WORKERS, WINDOWS)
def test_what_is_split_is_merged_from_slots_of_its_own(
    step: Step, group: int, kv_heads: int, workers: int, window: int
) -> None:
    """Each block of a split tile has one slot, which the merge of that tile reads, in order."""
    parts, splits = listed(step, group, kv_heads, workers, window)

    kept = sorted(
        (sequence, first, block, slot + block)
        for sequence, first, begin, end, slot in parts.tolist()
        if slot != WHOLE
        for block in range(begin, end)
    )
    read = [
        (sequence, first, slot + number)
        for sequence, first, blocks, slot in splits.tolist()
        for number in range(blocks)
    ]

    assert [(sequence, first, slot) for sequence, first, _, slot in kept] == sorted(read)
    assert sorted(slot for _, _, slot in read) == list(range(len(read)))


@given(STEPS, GROUPS, KV_HEADS, WORKERS)
def test_a_work_list_fits_its_buffers(step: Step, group: int, kv_heads: int, workers: int) -> None:
    """Whatever shares the step: the bound follows from the threads and the longest sequence."""
    tokens = sum(new for new, _ in step)
    most = bounds(tokens, len(step), LONGEST, group, kv_heads, workers)

    parts, splits = listed(step, group, kv_heads, workers)

    assert len(parts) <= most.parts
    assert len(splits) <= most.splits
    assert int(splits[:, 2].sum()) * kv_heads <= most.slots


@given(STEPS, GROUPS, KV_HEADS, st.integers(2, 6))
def test_no_task_is_longer_than_a_quarter_of_a_share(
    step: Step, group: int, kv_heads: int, workers: int
) -> None:
    """And the longest come first: whoever ends last does so soon after the others."""
    parts = listed(step, group, kv_heads, workers).parts
    lengths = (parts[:, 3] - parts[:, 2]).tolist()

    assert max(lengths) <= -(-sum(lengths) * kv_heads // (4 * workers))
    assert lengths == sorted(lengths, reverse=True)


@pytest.mark.parametrize(
    "step, kv_heads, workers, tiles, splits",
    [
        pytest.param([(1, 99)], 1, 8, 1, 0, id="one block cannot be split"),
        pytest.param([(1, 8191)], 1, 1, 1, 0, id="one thread needs no parts"),
        pytest.param([(1, 8191)], 1, 2, 8, 1, id="a long sequence is split for two"),
        pytest.param(
            [(1, 8191)], 2, 2, 4, 1, id="also where two heads would do: a thread may be taken away"
        ),
        pytest.param([(1, 8191)] * 8, 2, 4, 8, 0, id="many sequences are not"),
        pytest.param([(1, 8191), (512, 0)], 2, 2, 257, 0, id="nor one beside a long prompt"),
        pytest.param([(1, 8191), (64, 0)], 2, 2, 34, 1, id="but beside a short one"),
        pytest.param([(512, 7680)], 1, 4, 256, 0, id="a chunk of a prompt has tiles enough"),
    ],
)
def test_what_is_split(step: Step, kv_heads: int, workers: int, tiles: int, splits: int) -> None:
    """Long tasks, where a few of them are most of the work."""
    work = listed(step, kv_heads=kv_heads, workers=workers)

    assert (len(work.parts), len(work.splits)) == (tiles, splits)
