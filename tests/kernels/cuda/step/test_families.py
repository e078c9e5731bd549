"""Each family on a driver without a GPU, beside transformers (tests/goldens/families.py)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.build import footprint
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.build import load_on_device
from raylax.kernels.cuda.matrix_unit import HOPPER
from raylax.kernels.cuda.step.capacity import KEPT_BY_CUDA
from raylax.kernels.cuda.step.model import DeviceModel
from tests.support.batches import Floats, Piece, batch_of
from tests.support.cuda_demo import cubins_of
from tests.support.cuda_fake.child import FakeMachine
from tests.support.cuda_families import FAMILIES, expected, form, options, written
from tests.support.cuda_interpreter import matrix_unit

pytestmark = pytest.mark.timeout(1200)  # what the store has not is compiled first
CHIP = "sm_90"
PAGES, OTHERS = [7, 3, 11], [20, 21, 22]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("families")
    return {name: written(directory, name) for name in FAMILIES}


@pytest.fixture(scope="module")
def fake_machine(
    store: Path, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FakeMachine]:
    """One H100, with the machine code of all of them."""
    forms = [form(path, CHIP) for path in checkpoints.values()]
    forms += [form(checkpoints["gpt-oss-mxfp4"], CHIP, name) for name in ("auto", "q0bf16")]
    make = lambda: [cubins_of(one, store) for one in forms]  # noqa: E731
    yield from FakeMachine.with_code(tmp_path_factory.mktemp("driver"), make)


def of(*families: str) -> Callable[[Callable[[Path], None]], Callable[..., None]]:
    """A test for the checkpoint of each of these, where GPUs are."""

    def decorated(body: Callable[[Path], None]) -> Callable[..., None]:
        @pytest.mark.parametrize("family", families)
        def run(family: str, checkpoints: dict[str, Path], fake_machine: FakeMachine) -> None:
            fake_machine.run(body.__module__, body.__name__, str(checkpoints[family]))

        run.__name__, run.__doc__, run.__module__ = body.__name__, body.__doc__, body.__module__
        run.body = lambda checkpoint: body(Path(checkpoint))  # type: ignore[attr-defined]
        return run

    return decorated


for_each = of(*FAMILIES)


@cache
def model(checkpoint: Path) -> DeviceModel:
    return load_on_device(checkpoint, options(CHIP), 32)


def logits(checkpoint: Path, *pieces: Piece, rows: int = 1) -> Floats:
    """Of each piece's last token; `rows`: of more of the last one's."""
    batch = batch_of(pieces)
    if rows > 1:
        count = len(batch.tokens)
        batch = batch._replace(rows=np.arange(count - rows, count, dtype=np.int32))
    return np.array(model(checkpoint).step(batch).logits)


@for_each
def test_its_answers_are_those_of_transformers(checkpoint: Path) -> None:
    ids, want, bound = expected(checkpoint)

    got = logits(checkpoint, Piece(ids, 0, PAGES), rows=len(want))

    errors = np.abs(got - want).max(-1) / np.abs(want).max()
    assert np.median(errors) < bound


@for_each
def test_it_takes_what_was_said_before(checkpoint: Path) -> None:
    """Of weights, workspace and pages, but for what CUDA is thought to keep. Of so little, what is
    rounded up is much."""
    before, _ = driver.memory(0)
    needs = footprint(checkpoint, options(CHIP))

    loaded = load_on_device(checkpoint, options(CHIP), 32)

    said = needs.weights + needs.workspace - KEPT_BY_CUDA + 32 * needs.page
    taken = before - driver.memory(0)[0]
    assert loaded.spec == needs.spec
    assert 0.5 * said < taken <= said


@for_each
def test_a_row_has_the_same_bits_in_chunks_and_in_a_batch(checkpoint: Path) -> None:
    """Law 1, of more tokens than a window has."""
    ids = np.random.default_rng(4).integers(0, 99, 30).tolist()
    with matrix_unit(HOPPER):
        alone = logits(checkpoint, Piece(ids, 0, PAGES))[0]
        logits(checkpoint, Piece(ids[:26], 0, OTHERS))
        chunked = logits(checkpoint, Piece(ids[3:9], 0, [9]), Piece(ids[26:], 26, OTHERS))[1]

    assert np.array_equal(alone, chunked)


@of("gpt-oss-mxfp4")
def test_experts_stay_in_4_bits_where_they_lie_so(checkpoint: Path) -> None:
    """With the bits that they have as bf16, and less memory."""
    ids, found = np.random.default_rng(4).integers(0, 99, 20).tolist(), []
    for quantization in ("auto", "q0bf16"):
        asked = replace(options(CHIP), quantization=quantization)
        made, needs = load_on_device(checkpoint, asked, 32), footprint(checkpoint, asked)
        with matrix_unit(HOPPER):
            out = made.step(batch_of([Piece(ids, 0, PAGES)]))
        found.append((made.quantization, needs.weights, np.array(out.logits)))

    (four, less, of_four), (plain, more, of_plain) = found
    assert (four, plain) == ("mxfp4", "q0bf16") and less < more
    assert np.array_equal(of_four, of_plain)
