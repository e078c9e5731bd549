"""Attention that sees a window and the first tokens: against transformers' logits under the same
masks (tests/goldens/make.py), and with the same bits however a prompt is cut."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raylax.kernels.build import footprint
from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.cpu.step.worklist import WorkList, work_list
from raylax.kernels.options import ModelOptions
from tests.support.batches import PAGE, Floats, Piece, run
from tests.support.checkpoints import write_checkpoint
from tests.support.family_checkpoints import write_family
from tests.support.paths import GOLDENS

WINDOWS = ((24, 0), (24, 4), (270, 0), (280, 16))
"""Some within a block of 256 keys, some beyond."""
PAGES = np.random.default_rng(6).permutation(64)[:19].tolist()
ELSEWHERE = [page for page in range(64) if page not in PAGES][:19]
OPTIONS = ModelOptions("q0f32", "f32", "cpu", None, 2, 512, 64, 512)
Load = Callable[..., CpuModel]


@pytest.fixture(scope="module")
def load(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Load:
    path = write_checkpoint(tmp_path_factory.mktemp("llama"), "llama", shards=2)

    def load(window: int, sinks: int = 0, kv: str = "f32", threads: int = 2) -> CpuModel:
        options = replace(OPTIONS, window=window, sinks=sinks, kv_dtype=kv, threads=threads)
        return load_model(path, options, pages=64, store=store)

    return load


def golden(name: str) -> tuple[list[int], Floats]:
    with np.load(GOLDENS / "windows.npz") as file:
        return file["ids"].tolist(), file[name]


@pytest.mark.parametrize(("window", "sinks"), WINDOWS)
def test_what_is_seen_is_what_transformers_masks_leave(load: Load, window: int, sinks: int) -> None:
    """In one piece, and the end of the prompt token by token."""
    ids, want = golden(f"{window}-{sinks}")
    model, rows = load(window, sinks), np.arange(len(ids), dtype=np.int32)[-len(want) :]
    got = run(model, Piece(ids, 0, PAGES), rows=rows)

    assert np.abs(got - want).max() < 1e-4 * np.abs(want).max()
    for at in range(len(ids) - 3, len(ids)):
        (one,) = run(model, Piece(ids[at : at + 1], at, PAGES))
        assert np.array_equal(one, got[at - len(ids)])


@pytest.mark.parametrize(("kv", "threads"), [("f32", 1), ("f32", 3), ("int8", 3)])
def test_however_it_is_cut_the_bits_are_the_same(load: Load, kv: str, threads: int) -> None:
    """With others in the step, too."""
    ids, _ = golden("24-4")
    alone = run(load(24, 4, kv), Piece(ids, 0, PAGES))
    model, other = load(24, 4, kv, threads), ids[50:200]
    run(model, Piece(ids[:130], 0, PAGES), Piece(other[:9], 0, ELSEWHERE))
    run(model, Piece(other[9:100], 9, ELSEWHERE), Piece(ids[130:295], 130, PAGES))
    beside = run(model, Piece(other[100:], 100, ELSEWHERE), Piece(ids[295:], 295, PAGES))

    assert np.array_equal(beside[1], alone[0])


def test_a_window_that_nothing_is_behind_changes_no_bit(load: Load) -> None:
    ids, _ = golden("24-4")
    piece = Piece(ids, 0, PAGES)
    whole = run(load(0), piece)

    assert np.array_equal(run(load(300), piece), whole)
    assert np.array_equal(run(load(300, 20), piece), whole)
    assert not np.array_equal(run(load(299), piece), whole)


def test_pages_out_of_sight_may_hold_any_numbers(load: Load) -> None:
    """Those of the sinks are in sight."""
    ids, _ = golden("24-4")
    model, last = load(24, 4), Piece(ids[-1:], len(ids) - 1, PAGES)
    whole = run(model, Piece(ids, 0, PAGES))
    run(model, Piece(ids[7:], 0, ELSEWHERE))
    for page in PAGES[1 : (len(ids) - 24) // PAGE]:
        model.write_page(page, model.read_page(ELSEWHERE[0]))
    assert np.array_equal(run(model, last), whole)
    model.write_page(PAGES[0], model.read_page(ELSEWHERE[0]))

    assert not np.array_equal(run(model, last), whole)


@pytest.mark.parametrize(("window", "sinks"), [(0, 0), (6, 0), (8, 2)])
def test_layers_without_rope_have_the_window_too(
    tmp_path: Path, store: Path, window: int, sinks: int
) -> None:
    """Four layers see four times as far, and nothing of what is farther, whatever they rotate."""
    path = write_family(tmp_path / "smollm3", "smollm3")
    options = replace(OPTIONS, window=window, sinks=sinks)
    model = load_model(path, options, pages=64, store=store)
    ids = np.random.default_rng(5).integers(0, 99, 40).tolist()
    before = run(model, Piece(ids, 0, PAGES))
    after = run(model, Piece([*ids[:10], (ids[10] + 1) % 99, *ids[11:]], 0, PAGES))

    assert np.array_equal(before, after) is (window > 0)


def test_what_is_left_out_behind_a_window_would_have_changed_no_bit(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole blocks of keys, by few threads or by many, which share a sequence's keys."""
    path = write_checkpoint(tmp_path, num_hidden_layers=1, max_position_embeddings=2048)
    ids = np.random.default_rng(4).integers(0, 99, 1500).tolist()
    pages, found = list(range(len(ids) // PAGE + 1)), []
    for threads in (1, 4):
        for skips in (True, False):
            with monkeypatch.context() as patch:
                if not skips:
                    patch.setattr("raylax.kernels.cpu.model.work_list", all_blocks)
                options = ModelOptions("q0f32", "f32", "cpu", None, threads, 512, 4, 2048)
                model = load_model(path, replace(options, window=600), pages=128, store=store)
                for start in range(0, 1400, 500):
                    run(model, Piece(ids[start : start + 500], start, pages))
                decoded = run(model, Piece(ids[-1:], len(ids) - 1, pages))
                cut = run(model, Piece(ids[1400:], 1400, pages))
                found += [decoded, cut]

    assert all(np.array_equal(one, found[0]) for one in found)


def all_blocks(*step: Any) -> WorkList:
    """A work list without a window."""
    return work_list(*step[:5])


@pytest.mark.parametrize(("window", "seen"), [(0, 100), (24, 24), (200, 200)])
def test_a_models_own_window_is_seen_unless_another_one_is_asked_for(
    tmp_path: Path, store: Path, window: int, seen: int
) -> None:
    """Sequences may be longer in any case."""
    path = write_checkpoint(tmp_path, "mistral-one-kv-head", sliding_window=100)
    spec = footprint(path, replace(OPTIONS, window=window), store).spec

    assert (spec.max_positions, spec.window) == (512, seen)
