"""What the compiled sampler draws is what the definition says, to the last bit, on every CPU."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.cpu.sampler.arguments import FORBIDDEN, NAME
from raylax.kernels.cpu.sampler.artefact import load_sampler
from raylax.kernels.cpu.sampler.emit import emit
from raylax.kernels.cpu.sampler.sampler import Drawn, RowDraws, Sampler, memory_bytes
from raylax.kernels.cpu.target import cpu, missing_here
from raylax.kernels.draws.definition import Row, key_of
from raylax.kernels.draws.rules import RULE
from raylax.kernels.store import default_root
from tests.support.draw_cases import DrawCase, draw_cases, golden_row
from tests.support.kept import kept_functions

NATIVE, AVX2, SSE = None, "x86-64-v3", "x86-64-v2"
Masks = npt.NDArray[np.int32]


@cache
def sampler(target: str | None = NATIVE, threads: int = 1) -> Sampler:
    if target is None:
        return load_sampler(threads)
    made = cpu(target)
    if missing_here(made):
        pytest.skip(f"{target} does not run here")
    library = kept_functions(default_root(), {"sampler": 1}, made, {NAME: partial(emit, made)})
    return Sampler(library, threads)


class Change(NamedTuple):
    token: int
    bias: float = 0.0
    said: int = -1


def wanted(
    cases: Sequence[DrawCase],
    changes: Sequence[Sequence[Change]] = (),
    masks: Masks | None = None,
    penalties: tuple[float, float, float] = (1.0, 0.0, 0.0),
    tops: int = -1,
) -> RowDraws:
    """A row of each case; with masks, each has the one of its number."""
    count, changes = len(cases), changes or [()] * len(cases)
    rules = np.zeros(count, RULE)
    for i, case in enumerate(cases):
        way = case.rule
        top_k = min(way.top_k, 2**31 - 1)
        rules[i] = (way.scale, top_k, way.top_p, way.least, 0, 0, 0, *penalties, 0)
    flat = [change for several in changes for change in several]
    return RowDraws(
        np.arange(count, dtype=np.int32),
        rules,
        np.array([key_of(c.seed, c.choice, c.position) for c in cases], np.uint64),
        np.array([case.typical_p for case in cases]),
        np.cumsum([0, *map(len, changes)], dtype=np.int32),
        np.array([change.token for change in flat], np.int32),
        np.array([change.bias for change in flat], np.float32),
        np.array([change.said for change in flat], np.int32),
        np.arange(count, dtype=np.int32) if masks is not None else np.full(count, -1, np.int32),
        masks if masks is not None else np.zeros((1, 1), np.int32),
        np.full(count, tops, np.int32),
    )


def drawn(made: Sampler, cases: Sequence[DrawCase], rows: npt.NDArray[np.float32]) -> list[int]:
    return tokens_of(made.draw(rows, wanted(cases)))


def tokens_of(out: Drawn) -> list[int]:
    pairs = zip(out.tokens.tolist(), out.largest.tolist(), strict=True)
    return [token if np.isfinite(largest) else -1 for token, largest in pairs]


def expected(cases: Sequence[DrawCase]) -> list[int]:
    return [-1 if (token := case.chosen) is None else token for case in cases]


def batches(count: int, sizes: Sequence[int], seed: int = 0) -> Iterator[list[DrawCase]]:
    """Cases of each size together."""
    for size in sizes:
        yield list(draw_cases(count, (size,), seed + size))


@pytest.mark.parametrize("target", [NATIVE, AVX2, SSE])
def test_a_draw_is_the_one_defined(target: str | None) -> None:
    """Of 2,200 rows of all kinds, with all settings, among them rows that are not finite: whichever
    instructions there are."""
    for cases in batches(200, (1, 2, 7, 15, 16, 17, 50, 64, 300, 3000, 9000)):
        rows = np.stack([case.row for case in cases])

        assert drawn(sampler(target), cases, rows) == expected(cases)


def test_golden_draws() -> None:
    settings = [(1.0, 0, 1.0, 0.0), (0.5, 0, 0.9, 0.0), (1.5, 20, 0.95, 0.05)]
    cases = [DrawCase(golden_row(), *one, 42, 1, at) for one in settings for at in range(12)]

    assert drawn(sampler(), cases, np.stack([case.row for case in cases])) == expected(cases)


def test_a_draw_is_the_same_alone_in_a_batch_and_by_many_threads() -> None:
    cases = list(draw_cases(40, (333,), seed=3))
    rows = np.stack([case.row for case in cases])
    together = drawn(sampler(), cases, rows)

    assert [drawn(sampler(), [case], case.row[None])[0] for case in cases] == together
    assert drawn(sampler(), cases[::-1], rows[::-1].copy())[::-1] == together
    assert drawn(sampler(NATIVE, 3), cases, rows) == together


def large(spread: float, peak: float, size: int = 151_936) -> Row:
    rng = np.random.default_rng(6)
    row = rng.normal(0, spread, size).astype(np.float32)
    row[rng.integers(0, size, 30)] += np.float32(peak)
    return row


WAYS = [
    *((1.0, 0, p, 0.0) for p in (1.0, 0.0, 0.1, 0.5, 0.9, 0.999, 1 - 2**-53)),
    *((1.0, k, 1.0, 0.0) for k in (1, 50, 512, 513, 8192, 8193, 151_935)),
    *((1.0, 0, 1.0, p) for p in (1.0, 0.1, 1e-6, 1e-20)),
    (0.3, 3000, 0.8, 0.01), (0.7, 40, 0.95, 0.05), (30.0, 0, 0.5, 0.0), (1e-9, 0, 0.5, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("spread", "peak"), [(2, 0), (2, 15), (0.01, 0), (1e30, 0)])
def test_of_a_large_vocabulary_the_same_is_drawn_as_by_sorting_it(
    spread: float, peak: float
) -> None:
    """Of few likely tokens, and of many; with ties by the thousand, too."""
    row = large(spread, peak)
    rows = np.stack([row, np.round(row)])
    for i, way in enumerate(WAYS):
        cases = [DrawCase(one, *way, 7, 1, 3) for one in rows]
        cases[0] = cases[0]._replace(typical_p=0.8 if i % 3 == 0 else 1.0)

        assert drawn(sampler(), cases, rows) == expected(cases), way


TYPICAL = 0.0, 0.2, 0.9, 1 - 2**-53


@pytest.mark.parametrize("target", [NATIVE, AVX2])
def test_typical_p_leaves_what_is_defined(target: str | None) -> None:
    """Behind all that leave out tokens before it, where nothing is finite, and with ties."""
    for cases in batches(150, (1, 2, 7, 17, 60, 300, 3000), seed=5):
        cases = [case._replace(typical_p=TYPICAL[i % 4]) for i, case in enumerate(cases)]
        rows = np.stack([case.row for case in cases])

        assert drawn(sampler(target), cases, rows) == expected(cases)


def test_where_a_nucleus_ends_is_exact() -> None:
    """Of tokens that weigh less, each, than sums of floats may be wrong by; at 400 places."""
    row = np.random.default_rng(6).normal(0, 0.01, 20_000).astype(np.float32)
    cases = [DrawCase(row, 1.0, 0, 0.002 * i, 0.0, 5, 0, i) for i in range(1, 401)]

    assert drawn(sampler(), cases, np.stack([row] * 400)) == expected(cases)


def test_masks_and_what_is_forbidden_are_never_drawn() -> None:
    """As if their logits were -inf; whatever is added to them."""
    rng = np.random.default_rng(9)
    cases = list(draw_cases(60, (100,), seed=5))
    rows = np.stack([case.row for case in cases])
    allowed = rng.random((60, 128)) < 0.4
    allowed[:3, :100] = False
    masks = np.packbits(allowed, axis=1, bitorder="little").view(np.int32)
    changes = [
        [Change(i, 50.0, 3), Change(i + 1), Change(i + 1, 0.0, FORBIDDEN)] for i in range(60)
    ]
    out = sampler().draw(rows, wanted(cases, changes, masks, (0.5, 0.0, 0.0)))

    left = rows.copy()
    for i, row in enumerate(left):
        bumped = row[i] + np.float32(50)
        bumped = np.clip(bumped / np.float32(0.5) if bumped > 0 else bumped * np.float32(0.5),
                         -np.finfo(np.float32).max, np.finfo(np.float32).max)  # fmt: skip
        row[i], row[i + 1] = bumped, np.nan if np.isnan(row).any() else -np.inf
        if not np.isnan(row).any():
            row[~allowed[i, :100]] = -np.inf
    changed = [case._replace(row=row) for case, row in zip(cases, left, strict=True)]
    assert tokens_of(out) == expected(changed)
    assert tokens_of(out)[:3] == [-1, -1, -1]


def test_logits_are_left_as_they_were() -> None:
    case = next(draw_cases(1, (100,), seed=1))
    rows = case.row[None].copy()
    sampler().draw(rows, wanted([case], [[Change(3, 1.0, 2)]], penalties=(1.5, 0.5, 0.5)))

    assert np.array_equal(rows[0], case.row)


def test_rows_may_lie_apart_and_be_drawn_in_any_order() -> None:
    """As in a model's memory, whose rows are padded; what is between them does not count."""
    cases = list(draw_cases(8, (37,), seed=2))
    padded = np.full((8, 48), np.inf, np.float32)
    padded[:, :37] = [case.row for case in cases]
    order = np.array([5, 0, 7, 2], np.int32)
    draws = wanted([cases[i] for i in order])._replace(rows=order)

    assert tokens_of(sampler().draw(padded[:, :37], draws)) == expected([cases[i] for i in order])


@pytest.mark.parametrize("target", [NATIVE, AVX2, SSE])
def test_what_log_probabilities_are_made_of(target: str | None) -> None:
    """The sum to 1e-12, in the same bits on every CPU; the likeliest, of equal ones the first."""
    case = DrawCase(np.round(large(2, 9, 20_000) * 4) / np.float32(4), 1.0, 0, 1.0, 0.0, 1, 0, 0)
    rows = case.row[None]
    out = sampler(target).draw(rows, wanted([case], tops=20))
    exact = np.exp(rows[0].astype(np.float64) - rows.max()).sum()

    assert out.peaks[0] == rows.max()
    assert out.sums[0] == pytest.approx(exact, rel=1e-12)
    assert out.sums[0] == sampler().draw(rows, wanted([case], tops=0)).sums[0]
    out = sampler(target).draw(rows, wanted([case], tops=20))
    assert out.likeliest[0].tolist() == sorted(np.argsort(-rows[0], kind="stable")[:20].tolist())


def test_nothing_is_read_or_changed_outside() -> None:
    case = next(draw_cases(1, (50,), seed=1))

    with pytest.raises(IndexError, match="token id 50 is not one of 50"):
        sampler().draw(case.row[None], wanted([case], [[Change(50)]]))
    with pytest.raises(IndexError, match="row 1 is not one of 1"):
        sampler().draw(case.row[None], wanted([case])._replace(rows=np.array([1], np.int32)))


@pytest.mark.parametrize("threads", [1, 3])
def test_its_memory_is_counted(threads: int) -> None:
    """All but a few bytes for each row."""
    made, row = load_sampler(threads), np.zeros((1, 50_000), np.float32)
    made.draw(row, wanted([DrawCase(row[0], 1.0, 0, 1.0, 0.0, 1, 0, 0)]))

    counted = memory_bytes(threads, 50_000)
    assert 0 <= made.nbytes - counted < 5000
