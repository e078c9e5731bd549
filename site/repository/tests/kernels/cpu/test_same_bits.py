"""Law 1 in the kernels: a row has the same bits whatever shares its step and whatever runs it."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from raylax.kernels.cpu.formats import NAMES, quantization_named
from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.cpu.step.attention import BLOCK
from raylax.kernels.cpu.step.step import variants
from raylax.kernels.cpu.target import cpu, missing_here
from tests.support.batches import (
    OPTIONS,
    PAGE,
    Floats,
    Piece,
    batch_of,
    run,
)
from tests.support.gguf_files import write_gguf
from tests.support.quantised import write_quantised

LENGTH = 300
PROMPT = np.random.default_rng(5).integers(0, 99, LENGTH).tolist()
PAGES, ELSEWHERE = np.random.default_rng(6).permutation(64)[:38].reshape(2, 19).tolist()
NEIGHBOURS = [0, 1, 3, 7, 16, 31, 100]
CHUNKS = [(1, 0), (1, 2), (4, 0), (5, 2), (16, 2), (40, 0), (64, 2), (200, 0)]
"""The size of a chunk, and how many prompts of 20 tokens are beside it."""

TARGETS = [t for t in ("x86-64-v3", "x86-64-v2", "aarch64") if not missing_here(cpu(t))]
"""From the most to the least that this machine runs, the newest instructions aside."""

SAME_PRODUCTS = ("q8f32_0", "q4f32_0")
"""Those of q4f32_1, which has them in its head and in its layers."""


class Case(NamedTuple):
    """What computes; its rows are compared with those of this CPU and two threads."""

    quantization: str
    kv: str = "auto"
    target: str | None = None
    threads: int = 2
    file: str = ""
    """What is quantised already, which auto keeps; empty: the checkpoint in f32."""


CASES = [
    *(Case(name) for name in NAMES),
    Case("q0f32", "int8"),
    *(Case(name, "auto", TARGETS[0], threads=1) for name in NAMES if name not in SAME_PRODUCTS),
    Case("q4f32_1", "int8", TARGETS[-1], threads=1),
    Case("auto", target=TARGETS[0], threads=1, file="Q4_1"),
    Case("auto", target=TARGETS[-1], file="zeros"),
]


def load(checkpoint: Path, store: Path, case: Case) -> CpuModel:
    options = replace(
        OPTIONS,
        quantization=case.quantization,
        kv_dtype=case.kv,
        target=case.target,
        threads=case.threads,
    )
    return load_model(checkpoint, options, pages=256, store=store)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request: pytest.FixtureRequest) -> Case:
    """Every weight format with its own KV format, some with int8; on one thread and without the
    newest instructions; with hardly any."""
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def files(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints by what is quantised in them."""
    write_gguf(path := tmp_path_factory.mktemp("blocks"), kind="Q4_1")
    zeros = write_quantised(tmp_path_factory.mktemp("zeros"), zeros=True)
    return {"": checkpoint, "Q4_1": path / "model.gguf", "zeros": zeros}


@pytest.fixture(scope="module")
def model(case: Case, files: dict[str, Path], store: Path) -> CpuModel:
    return load(files[case.file], store, case)


@pytest.fixture(scope="module")
def alone(case: Case, files: dict[str, Path], store: Path) -> Floats:
    """The logits after each token, computed here in one step with nothing beside the prompt."""
    here = load(files[case.file], store, Case(case.quantization, case.kv, file=case.file))
    return run(here, Piece(PROMPT, 0, PAGES), rows=np.arange(LENGTH, dtype=np.int32))


def others(count: int, length: int) -> list[Piece]:
    rng, width = np.random.default_rng(9), -(-length // PAGE)
    return [
        Piece(rng.integers(0, 99, length).tolist(), 0, range(64 + i * width, 64 + (i + 1) * width))
        for i in range(count)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_variant_is_compared(name: str) -> None:
    """By the tests below: those for few rows and for many, and keys that fill more than a block."""
    every = variants(quantization_named(name, "float32", cpu()).of("layers"))

    for rows in (
        [count + 1 for count in NEIGHBOURS],
        [size + 20 * beside for size, beside in CHUNKS],
    ):
        assert {next(v for v in every if count <= v.most) for count in rows} == set(every)
    assert LENGTH > BLOCK * PAGE


@pytest.mark.parametrize("count", NEIGHBOURS)
def test_decoding_in_any_batch(model: CpuModel, alone: Floats, count: int) -> None:
    """The last token decoded among `count` others: every row tile and every tail."""
    run(model, Piece(PROMPT[:-1], 0, PAGES))

    got = run(model, *others(count, 1), Piece(PROMPT[-1:], LENGTH - 1, PAGES))

    assert np.array_equal(got[-1], alone[-1])


@pytest.mark.parametrize(("size", "beside"), CHUNKS)
def test_prefill_in_any_chunks(model: CpuModel, alone: Floats, size: int, beside: int) -> None:
    """The prompt cut into chunks, each alone or beside other prompts."""
    chunks = [Piece(PROMPT[i : i + size], i, PAGES) for i in range(0, LENGTH, size)]

    got = [run(model, *others(beside, 20), chunk)[-1] for chunk in chunks]

    ends = [chunk.start + len(chunk.tokens) - 1 for chunk in chunks]
    assert np.array_equal(got, alone[ends])


def test_pages_may_lie_anywhere(model: CpuModel, alone: Floats) -> None:
    """Other pages, with what their former owners left in them."""
    run(model, Piece(PROMPT[::-1], 0, [*ELSEWHERE[5:], *ELSEWHERE[:5]]))

    got = run(model, Piece(PROMPT, 0, ELSEWHERE))

    assert np.array_equal(got[0], alone[-1])


@pytest.mark.parametrize("size", [1, LENGTH])
def test_pages_may_hold_what_is_no_number(model: CpuModel, alone: Floats, size: int) -> None:
    """As the keys and values of a sequence that ended since its logits were not finite."""
    for page in ELSEWHERE:
        model.write_page(page, b"\xff" * len(model.read_page(page)))

    got = [run(model, Piece(PROMPT[i : i + size], i, ELSEWHERE)) for i in range(0, LENGTH, size)]

    assert np.array_equal(got[-1][0], alone[-1])


def test_the_largest_logit_is_chosen(model: CpuModel) -> None:
    """The compiled argmax agrees with numpy's, ties and padding included."""
    output = model.step(batch_of(others(9, 12)))

    assert output.drawn.tolist() == output.logits.argmax(1).tolist()
