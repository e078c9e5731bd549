"""Paged attention against float64; a row's bits in any batch, tile, chunk and division."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.cuda.matrix_unit import AMPERE, HOPPER, MatrixUnit
from raylax.kernels.cuda.pages import KV
from raylax.kernels.cuda.step.work_list import IDLE_ITEM, IDLE_ROW
from tests.support.cuda_attention import Batch, Model, Way
from tests.support.cuda_interpreter import matrix_unit
from tests.support.cuda_pages import wide

Array = npt.NDArray[Any]
RAGGED = [5, 1, 1, 9], [0, 70, 31, 28]
MANY = 1000
"""So many places that each split has a program of its own."""
KVS: list[KV] = ["plain", "int8", "fp8"]


def assert_right(out: Array, batch: Batch) -> None:
    expected = batch.expected()
    errors = np.linalg.norm(wide(out) - expected, axis=-1)
    most = 1e-3 if batch.model.kind == np.float16 and batch.model.kv == "plain" else 6e-3
    assert (errors < most * np.linalg.norm(expected, axis=-1)).all()


def same(a: Array, b: Array) -> bool:
    return np.array_equal(a.view(np.uint16), b.view(np.uint16))


@pytest.mark.parametrize("tile, places, window", [(8, 0, 0), (16, MANY, 20)])
@pytest.mark.parametrize("kv", KVS)
def test_it_is_right(kv: KV, tile: int, places: int, window: int) -> None:
    """Decodes, first and later chunks in one step; what was never written is NaN."""
    batch = Batch(Model(4, 2, kv=kv, window=window), *RAGGED)

    assert_right(batch.run(tile, places), batch)


@pytest.mark.parametrize("kv", KVS)
def test_it_is_right_for_float16(kv: KV) -> None:
    batch = Batch(Model(kv=kv, kind=np.float16), [3, 1], [0, 40])
    batch.out = np.float16

    assert_right(batch.run(8, MANY), batch)


def test_softcap() -> None:
    batch = Batch(Model(softcap=0.7), [3, 1], [0, 40])
    batch.out = np.uint16

    assert_right(batch.run(8, MANY), batch)


@pytest.mark.parametrize(
    "heads, kv_heads, tile", [(2, 2, 8), (3, 1, 8), (7, 1, 8), (14, 2, 16), (8, 1, 8)]
)
def test_queries_of_a_kv_head_may_be_of_any_number(heads: int, kv_heads: int, tile: int) -> None:
    batch = Batch(Model(heads, kv_heads), [3, 1], [0, 40])

    assert_right(batch.run(tile, 0), batch)
    assert_right(batch.run(tile, MANY), batch)


@pytest.mark.parametrize("dim", [32, 64, 80, 96, 128, 256])
def test_dims(dim: int) -> None:
    """Of any dim, also no power of two."""
    kvs: dict[int, KV] = {80: "int8", 96: "fp8"}
    batch = Batch(Model(2, 1, dim, kvs.get(dim, "plain")), [2, 1], [0, 40])

    assert_right(batch.run(8, MANY), batch)


@pytest.mark.parametrize(
    "unit, model",
    [
        (HOPPER, Model()),
        (AMPERE, Model(kv="int8", window=30)),
        (HOPPER, Model(window=20, sinks=5)),
        (AMPERE, Model(kv="fp8", window=3, sinks=18, softcap=3.0)),
        (HOPPER, Model(3, 1, kv="fp8", softcap=3.0)),
        (HOPPER, Model(learned=True)),
        (AMPERE, Model(4, 2, kv="int8", window=20, learned=True)),
    ],
)
def test_a_row_has_the_same_bits_everywhere(unit: MatrixUnit, model: Model) -> None:
    """In any batch, tile, chunk of its prompt and division among programs."""
    with matrix_unit(unit):
        whole = Way(32, 0, [71]).run(model)
        assert same(Way(16, MANY, [35, 35, 1]).run(model), whole)
        mixed = Batch(model, [1, 2, 7], [70, 0, 9]).run(8, 0)
        assert same(mixed[0], whole[70])


def test_the_sum_of_weights_has_no_order() -> None:
    """Nor has a step of Hopper's matrix unit: keys may change places with any of their 16."""
    batch, again = (Batch(Model(), [1], [47]) for _ in range(2))
    order = np.concatenate([np.random.default_rng(i).permutation(16) for i in range(3)])
    for page in range(3):
        at = again.tables[0, page]
        again.pages[at] = batch.pages[at][:, :, order[page * 16 : page * 16 + 16]]

    with matrix_unit(HOPPER):
        assert same(again.run(), batch.run())


@pytest.mark.parametrize("kv", KVS)
def test_what_lies_in_pages_beyond_the_keys_is_never_read(kv: KV) -> None:
    model = Model(kv=kv)

    with matrix_unit(None):
        outs = [Batch(model, *RAGGED, stale=stale).run(8, 1) for stale in (np.nan, 1e30)]

    assert np.isfinite(wide(outs[0])).all()
    assert same(outs[0], outs[1])


@pytest.mark.parametrize("places", [0, MANY])
def test_pages_before_the_window_may_be_gone(places: int) -> None:
    batch = Batch(Model(window=20), [1, 3], [70, 60])
    batch.block = 32  # of which one page may be gone, the other not
    before = batch.run(8, places)
    batch.tables[0, : 51 // 16] = batch.dead_page  # keys from 51 on are seen
    batch.tables[1, : 41 // 16] = batch.dead_page

    assert same(batch.run(8, places), before)


@pytest.mark.parametrize(("kv", "window"), [("plain", 0), ("plain", 20), ("int8", 7), ("fp8", 0)])
@pytest.mark.parametrize("places", [0, MANY])
def test_a_head_may_have_a_score_of_its_own(kv: KV, window: int, places: int) -> None:
    """It counts once, however a tile is divided, and has no value."""
    batch = Batch(Model(6, 2, kv=kv, window=window, learned=True), *RAGGED)

    assert_right(batch.run(16, places), batch)


SINKS = [(1, 1), (9, 4), (20, 16), (40, 17), (3, 33), (30, 40), (1, 70)]
"""Windows, and the sinks beside them: in a tile, in a split, beyond both, next to each other."""


@pytest.mark.parametrize(("window", "sinks"), SINKS)
@pytest.mark.parametrize("places", [0, MANY])
def test_sinks_are_seen_from_anywhere(window: int, sinks: int, places: int) -> None:
    """By decodes, first and later chunks, short and long sequences."""
    batch = Batch(Model(window=window, sinks=sinks), [5, 1, 9, 1, 3], [0, 90, 101, 28, 69])

    assert_right(batch.run(8, places), batch)


@pytest.mark.parametrize("kv", KVS)
def test_sinks_in_pages_of_any_kind(kv: KV) -> None:
    batch = Batch(Model(4, 2, kv=kv, window=7, sinks=5), *RAGGED)

    assert_right(batch.run(16, MANY), batch)


@pytest.mark.parametrize("places", [0, MANY])
@pytest.mark.parametrize("sinks", [4, 17, 40])
def test_pages_between_the_sinks_and_the_window_may_be_gone(sinks: int, places: int) -> None:
    """Whole tiles and splits of them, too; those of the sinks may not."""
    batch = Batch(Model(window=9, sinks=sinks), [1, 3], [120, 110])
    before = batch.run(8, places)
    batch.tables[0, -(-sinks // 16) : 112 // 16] = batch.dead_page  # keys from 112 on are seen
    batch.tables[1, -(-sinks // 16) : 102 // 16] = batch.dead_page
    assert same(batch.run(8, places), before)
    batch.tables[0, 0] = batch.tables[1, 0]

    assert not same(batch.run(8, places)[0], before[0])


@pytest.mark.parametrize("sinks", [4, 17, 40])
def test_what_is_left_out_between_sinks_and_window_would_have_changed_no_bit(sinks: int) -> None:
    """A tile of far rows leaves out less than one of near rows: it is the first row's window that
    counts."""
    model, ways = Model(window=9, sinks=sinks), [(8, 0), (8, MANY), (32, 0), (32, MANY)]
    with matrix_unit(HOPPER):
        found = [Batch(model, [n], [120 - n]).run(*way)[-1] for n in (1, 3, 16) for way in ways]

    assert all(same(one, found[0]) for one in found)


@pytest.mark.parametrize("places", [0, MANY])
def test_idle_programs_change_nothing(places: int) -> None:
    batch = Batch(Model(), *RAGGED)

    assert same(batch.run(8, places, idle=3), batch.run(8, places))


def test_idle_programs_write_nothing() -> None:
    batch = Batch(Model(), [3], [20])

    out = batch.launch(8, np.array([IDLE_ITEM] * 2, np.int32), np.array([IDLE_ROW], np.int32), 1)

    assert np.isnan(wide(out)).all()
