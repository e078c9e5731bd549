"""Kernels that draw, against the definition of a draw and against the CPU engine's penalties."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from raylax.kernels.draws.definition import DrawRule, key_of, noise, scattered, weight
from raylax.proto.vocabulary import Sampling
from raylax.worker.sampling.adjustment import Adjustment
from tests.support.cuda_interpreter import launch
from tests.support.draw_cases import GOLDEN, DrawCase, draw_cases, golden_row
from tests.support.draws import changed

import triton  # isort: skip
import triton.language as tl  # isort: skip
from raylax.kernels.cuda.source import sampler  # isort: skip

Array = npt.NDArray[Any]
SMALL = (64, 64, 8)
SHAPES = [SMALL, (32, 64, 4), (16, 32, 8), (128, 256, 4)]
"""BLOCK, WIDE and BITS: one block has a row of 60 tokens, or several."""
KEY_OF, NOISE = sampler.DEFINED["key_of"], sampler.DEFINED["noise"]
SCATTERED, WEIGHT = sampler.DEFINED["scattered"], sampler.DEFINED["weight"]


@triton.jit  # type: ignore[untyped-decorator]
def functions(  # type: ignore[no-untyped-def]
    t, seeds, choices, positions, weights, keys, noises, N: tl.constexpr
):
    at = tl.arange(0, N)
    tl.store(weights + at, WEIGHT(tl.load(t + at)))
    seed, choice = tl.load(seeds + at).to(tl.uint64), tl.load(choices + at).to(tl.uint64)
    key = KEY_OF(seed, choice, tl.load(positions + at).to(tl.uint64))
    tl.store(keys + at, key.to(tl.int64))
    token = SCATTERED(at.to(tl.uint32))
    tl.store(noises + at, NOISE(token, key.to(tl.uint32), (key >> 32).to(tl.uint32)))


def drawn(
    cases: list[DrawCase], shape: tuple[int, int, int] = SMALL
) -> tuple[list[int], list[float]]:
    """The token of each case, all rows in one launch, and the largest logits."""
    rows, vocab = len(cases), len(cases[0].row)
    stride = -(-vocab // 16) * 16
    logits = np.full((rows, stride), np.nan, np.float32)  # nothing that lies between rows counts
    logits[:, :vocab] = [case.row for case in cases]
    rules = [case.rule for case in cases]
    tokens, largest = np.full(rows, -7, np.int32), np.zeros(rows, np.float32)
    with np.errstate(all="ignore"):
        launch(
            sampler.sample,
            (rows,),
            logits=logits,
            scales=np.array([rule.scale for rule in rules], np.float32),
            top_ks=np.array([rule.top_k for rule in rules], np.int32),
            top_ps=np.array([rule.top_p for rule in rules], np.float64),
            leasts=np.array([rule.least for rule in rules], np.int64),
            seeds=np.array([case.seed for case in cases], np.int64),
            choices=np.array([case.choice for case in cases], np.int32),
            positions=np.array([case.position for case in cases], np.int32),
            tokens=tokens,
            largest=largest,
            kept=np.full((rows, stride), -1, np.int32),
            vocab=vocab,
            stride=stride,
            BLOCK=shape[0],
            WIDE=shape[1],
            BITS=shape[2],
        )
    return tokens.tolist(), largest.tolist()


def test_the_functions_of_the_definition_have_the_same_bits() -> None:
    """Weights, keys and noise of 8,192 arguments each: the same source runs, over other
    operators."""
    count, rng = 8192, np.random.default_rng(2)
    t = -np.exp(rng.uniform(-20, 5, count)).astype(np.float32)
    t[:4] = 0, -0.0, -np.inf, -np.finfo(np.float32).max
    seeds = rng.integers(-(2**63), 2**63 - 1, count)
    choices, positions = rng.integers(0, 2**31 - 1, (2, count)).astype(np.int32)
    weights, keys, noises = (np.zeros(count, kind) for kind in (np.int64, np.int64, np.float32))
    with np.errstate(all="ignore"):
        launch(
            functions, (1,), t=t, seeds=seeds, choices=choices, positions=positions,
            weights=weights, keys=keys, noises=noises, N=count,
        )  # fmt: skip
    made = key_of(*(part.astype(np.uint64) for part in (seeds, choices, positions)))
    tokens = scattered(np.arange(count, dtype=np.uint32))

    assert np.array_equal(weights, weight(t))
    assert np.array_equal(keys.view(np.uint64), made)
    expected = noise(tokens, made.astype(np.uint32), (made >> 32).astype(np.uint32))
    assert np.array_equal(noises, expected)


@pytest.mark.parametrize(("size", "count"), [(1, 6), (50, 40), (64, 8)])
def test_a_draw_is_the_one_defined(size: int, count: int) -> None:
    """Of rows of all kinds with all settings, among them rows that are not finite."""
    cases = list(draw_cases(count, (size,), seed=size))
    tokens, largest = drawn(cases)

    for case, token, most in zip(cases, tokens, largest, strict=True):
        assert token == (-1 if case.chosen is None else case.chosen), case
        assert np.array_equal(most, case.row.max(), equal_nan=True)


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_no_bit_depends_on_how_a_row_is_divided(shape: tuple[int, int, int]) -> None:
    cases = list(draw_cases(5, (70,), seed=11))

    assert drawn(cases, shape)[0] == [-1 if c.chosen is None else c.chosen for c in cases]


def test_a_draw_is_the_same_alone_and_in_a_batch() -> None:
    cases = list(draw_cases(4, (40,), seed=3))

    together = drawn(cases)[0]

    assert together == [drawn([case])[0][0] for case in cases]
    assert together == drawn(cases[::-1])[0][::-1]


@pytest.mark.parametrize("at", range(len(GOLDEN)))
def test_golden_draws(at: int) -> None:
    rule, tokens = GOLDEN[at]
    setting = [(1.0, 0, 1.0, 0.0), (0.5, 0, 0.9, 0.0), (1.5, 20, 0.95, 0.05)][at]
    cases = [DrawCase(golden_row(), *setting, 42, 1, position) for position in range(4)]

    assert DrawRule.of(*setting) == rule
    assert drawn(cases)[0] == tokens[:4]


ADJUSTMENTS = [
    Sampling(logit_bias=((3, 4.5), (59, -100.0))),
    Sampling(
        repetition_penalty=1.3, presence_penalty=0.7, frequency_penalty=-0.3,
        logit_bias=((3, 4.5), (59, -100.0)),
    ),
    Sampling(repetition_penalty=0.01),
    Sampling(frequency_penalty=2.0, presence_penalty=-1.1),
    Sampling(),
]  # fmt: skip


def test_bias_and_penalties_are_the_engines() -> None:
    """Bit for bit, with logits at the ends of float32 and tokens that are masked."""
    rng, vocab, prompt = np.random.default_rng(4), 60, 20
    logits = rng.normal(0, 3, (len(ADJUSTMENTS), vocab)).astype(np.float32)
    logits[:, :4], logits[:, 30:33] = [3e38, -3e38, 0.0, 1.0], [-np.inf, 2e38, 1e-40]
    tokens = [*range(10), *rng.integers(0, vocab, 50).tolist()]
    want, listed = [], []
    for row, sampling in zip(logits, ADJUSTMENTS, strict=True):
        kept = Adjustment(sampling, prompt)
        kept.tell(tokens)
        want.append(changed(row, sampling, kept.entries))
        listed.append(kept.entries)
    ends = np.cumsum([len(one.ids) for one in listed], dtype=np.int32)
    with np.errstate(all="ignore"):
        launch(
            sampler.adjust,
            (len(logits),),
            logits=logits,
            starts=ends - np.array([len(one.ids) for one in listed], np.int32),
            ends=ends,
            ids=np.concatenate([one.ids for one in listed]),
            biases=np.concatenate([one.biases for one in listed]),
            counts=np.concatenate([one.counts for one in listed]),
            repetitions=np.array([s.repetition_penalty for s in ADJUSTMENTS], np.float32),
            presences=np.array([s.presence_penalty for s in ADJUSTMENTS], np.float32),
            frequencies=np.array([s.frequency_penalty for s in ADJUSTMENTS], np.float32),
            stride=vocab,
            BLOCK=16,
        )

    assert np.array_equal(logits, np.stack(want))
