"""From a checkpoint to artefacts: made once, shared, and clear about what cannot be made."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from types import SimpleNamespace

import numpy as np
import pytest

from raylax.kernels.build import build, load_whole
from raylax.kernels.cpu.model import CpuModel, load_model
from raylax.kernels.errors import CompileError
from raylax.kernels.model import Model
from raylax.kernels.options import ModelOptions
from tests.support.batches import Piece, run
from tests.support.paths import ROOT

OPTIONS = ModelOptions("q0f32", max_step_tokens=64, max_step_rows=8, max_sequence_length=64)
PROMPT = Piece([5, 6, 7, 8, 9], 0, [0])


def load(checkpoint: Path, store: Path, stages: list[str]) -> Model:
    return load_model(checkpoint, OPTIONS, 8, store, lambda stage, _: stages.append(stage))


@pytest.fixture(scope="module")
def built(checkpoint: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all that the model needs: `raylax compile`. The library is the one that other
    tests compile, too."""
    path, library = tmp_path_factory.mktemp("built"), Path(build(checkpoint, OPTIONS, 8, store))
    copytree(library.parent, path / "library" / library.parent.name)
    build(checkpoint, OPTIONS, 8, path)
    return path


def test_what_was_built_is_found(checkpoint: Path, built: Path) -> None:
    """By `raylax serve`: nothing is compiled, packed or written again."""
    made = {path: path.stat().st_mtime_ns for path in built.rglob("*") if path.is_file()}

    stages: list[str] = []
    model = load(checkpoint, built, stages)

    assert Path(model.library) in made
    assert "pack" not in stages
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_what_was_built_runs_without_the_compiler(checkpoint: Path, built: Path) -> None:
    """A worker that finds everything in the store never imports TVM: 150 MB and a second less."""
    code = """
import sys
from pathlib import Path
from tests.kernels.test_build import PROMPT, load, run
run(load(Path(sys.argv[1]), Path(sys.argv[2]), []), PROMPT)
print([name for name in sys.modules if name == "tvm" or name.startswith("tvm.")])
"""

    command = [sys.executable, "-c", code, str(checkpoint), str(built)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_without_a_compiler_the_model_compiles_in_memory(
    checkpoint: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, keeps no library, and computes the same."""
    want = run(load(checkpoint, built, []), PROMPT)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("CC", raising=False)

    said: list[str] = []
    build(checkpoint, OPTIONS, 8, tmp_path, lambda stage, _: said.append(stage))
    model = load(checkpoint, tmp_path, [])

    assert any("no C compiler" in stage for stage in said)
    assert model.library == "in memory"
    assert not list(tmp_path.rglob("*.so"))
    assert np.array_equal(run(model, PROMPT), want)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ModelOptions("q9"), "q9.*q0f32.*q0bf16"),
        (ModelOptions(kv_dtype="fp8"), "kv_dtype must be auto, f32, bf16, int8; found 'fp8'"),
        (ModelOptions(target="znver55"), "'znver55' is not a CPU that LLVM knows.*znver5"),
    ],
)
def test_what_cannot_be_built_is_named(
    checkpoint: Path, tmp_path: Path, options: ModelOptions, message: str
) -> None:
    """The wrong value, and what there is instead."""
    with pytest.raises(CompileError, match=message):
        load_model(checkpoint, options, 8, tmp_path)


def test_the_device_chooses_the_backend(checkpoint: Path) -> None:
    """A GPU's is asked for one, which is not here."""
    assert isinstance(load_whole(checkpoint, OPTIONS, 8), CpuModel)
    with pytest.raises(CompileError, match="it needs a GPU and NVIDIA's driver"):
        load_whole(checkpoint, replace(OPTIONS, device="cuda:0"), 8)


def test_a_store_without_room_is_found_out_before_anything_is_compiled(
    checkpoint: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there already needs no more."""
    store = tmp_path / "not" / "there" / "yet"
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=3 << 20))
    with pytest.raises(OSError, match="8 MiB are needed, 3 MiB are free") as caught:
        build(checkpoint, OPTIONS, 8, store)

    assert caught.value.filename == str(store)
    assert [made.name for made in store.iterdir()] == ["program"]
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    build(checkpoint, OPTIONS, 8, built)
