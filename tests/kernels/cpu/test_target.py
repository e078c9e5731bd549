"""CPUs by name: what is known of them, what is compiled for them, and that all compute the same."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.build import build
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Artefacts, Blueprint
from raylax.kernels.cpu.compile import CompiledStep, compile_step
from raylax.kernels.cpu.emitted_from import emitter_hash
from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.cpu.target import cpu, hidden, missing_here, named
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ModelOptions, silent
from tests.kernels.conftest import Runner
from tests.support.batches import Floats, Piece, run
from tests.support.kept import kept
from tests.support.kernels_emulator import COMPILER

X86, ELF_AARCH64 = "x86_64-unknown-linux-gnu", b"\xb7\x00"
PROMPT = np.random.default_rng(5).integers(0, 99, 40).tolist()
FORMATS = [("q0f32", "f32"), ("q0bf16", "bf16"), ("q0f16", "bf16"), ("q4f32_1", "int8")]


def options(target: str | None, quantization: str = "q0f32", kv: str = "f32") -> ModelOptions:
    return ModelOptions(quantization, kv, "cpu", target, 2, 64, 8, 128)


@pytest.fixture(scope="module", params=FORMATS, ids="-".join)
def plan(request: pytest.FixtureRequest, checkpoint: Path) -> Blueprint:
    """Of a step on aarch64: every format of weights (the head of q4f32_1 has 8 bits), and of keys
    and values."""
    return Blueprint(open_checkpoint(checkpoint), options("neoverse-n1", *request.param))


@pytest.fixture(scope="module")
def compiled(plan: Blueprint) -> Callable[[], CompiledStep]:
    """Only where somebody needs it."""
    return cache(lambda: compile_step(plan.emitter))


def test_a_step_is_compiled_for_aarch64(
    plan: Blueprint, compiled: Callable[[], CompiledStep], store: Path
) -> None:
    """On any machine: by NEON's own multiply-adds, and by SDOT where weights are integers."""

    def make(directory: Path) -> None:
        (directory / "step.s").write_text(compiled().assembly)

    assembly = (
        kept(store, {"assembly of": plan.library_key}, make, emitter_hash) / "step.s"
    ).read_text()

    assert "\tfmla\t" in assembly
    assert "fmaf" not in assembly
    assert ("\tsdot\t" in assembly) == (plan.quantization.name == "q4f32_1")


def test_a_step_has_the_same_bits_on_aarch64(
    checkpoint: Path,
    store: Path,
    plan: Blueprint,
    compiled: Callable[[], CompiledStep],
    runner: Runner,
) -> None:
    """A prompt, then a decode beside another prompt: law 1 holds from CPU to CPU."""
    program = plan.program.with_pages(32)
    wanted = options("neoverse-n1", program.quantization, program.kv_dtype)
    packed = Artefacts(checkpoint, wanted, store, silent).weights()
    library = runner(plan.emitter.cpu)(compiled())
    there = CpuModel(plan.checkpoint.spec, wanted, program, library, "emulated", packed)
    mine = replace(wanted, target=None)
    here = load_model(checkpoint, mine, pages=32, store=store)

    assert np.array_equal(two_steps(there), two_steps(here))


def two_steps(model: CpuModel) -> Floats:
    prompt = run(model, Piece(PROMPT, 0, [3, 1, 2]))
    return np.concatenate(
        [prompt, run(model, Piece([5], 40, [3, 1, 2]), Piece(PROMPT, 0, [9, 7, 8]))]
    )


@pytest.mark.parametrize(
    ("name", "architecture", "registers"),
    [("x86-64-v3", "x86_64", 8), ("neoverse-n1", "aarch64", 8), ("aarch64", "aarch64", 8)]
    + [("x86-64-v2", "x86_64", 4), ("apple-m1", "aarch64", 8), ("znver4", "x86_64", 32)],
)
def test_a_name_tells_the_architecture(name: str, architecture: str, registers: int) -> None:
    """Of this machine or of another: no triple has to be given."""
    target = cpu(name)

    assert (target.architecture, target.registers) == (architecture, registers)


def test_the_cpu_that_runs_this_lacks_nothing() -> None:
    """It is of our architecture, and every feature that it is compiled for is there."""
    assert missing_here(cpu()) == []


def test_what_a_virtual_machine_hides_is_not_used() -> None:
    """LLVM goes by the name of a CPU, and Linux shows what is left of it."""
    features = ("sse4.2", "bmi", "avx2", "avx512f", "avx512vnni")
    lacking = hidden(features, "processor : 0\nflags\t\t: fpu sse4_2 bmi1 avx2\n")
    whole = named("sapphirerapids", X86)
    less = named("sapphirerapids", X86, lacking)

    assert lacking == ("avx512f", "avx512vnni")
    assert hidden(features, "no list of flags") == ()
    assert whole.has("avx512bf16") and whole.registers == 32
    assert not any(feature.startswith("avx512") for feature in less.features)
    assert less.registers == 8


@pytest.mark.parametrize(
    ("name", "fast"),
    [("znver4", True), ("znver5", True), ("sapphirerapids", False), ("znver3", False)]
    + [("neoverse-v2", False)],
)
def test_pairs_of_bf16_are_multiplied_by_what_is_faster(name: str, fast: bool) -> None:
    """Intel's instruction for them takes longer than two fused multiply-adds."""
    assert cpu(name).fast_bf16 is fast


def test_a_library_is_built_for_another_architecture(checkpoint: Path, store: Path) -> None:
    """`raylax compile --target neoverse-n1`: packed and linked here, to be run there."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not here to link")

    library = Path(build(checkpoint, options("neoverse-n1"), 32, store)).read_bytes()

    assert library[18:20] == ELF_AARCH64


@pytest.mark.skipif(cpu().architecture == "aarch64", reason="neoverse-n1 is no stranger here")
def test_another_architecture_needs_its_linker(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of this machine would fail with a riddle."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CompileError, match=f"neoverse-n1 needs {COMPILER} to link"):
        build(checkpoint, options("neoverse-n1"), 32, tmp_path)


@pytest.mark.skipif(cpu().architecture == "aarch64", reason="neoverse-n1 is no stranger here")
def test_what_cannot_run_here_is_not_loaded(checkpoint: Path, tmp_path: Path) -> None:
    """A model for another CPU is refused by what this one lacks, not by the system's loader."""
    with pytest.raises(CompileError, match="target neoverse-n1 needs aarch64, which this machine"):
        load_model(checkpoint, options("neoverse-n1"), 32, tmp_path)
