"""Libraries for GPUs: machine code and nothing else, and refused where they do not belong."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path
from shutil import copytree

import pytest

from raylax.kernels.build import build
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cuda.library import FACTS, Facts
from raylax.kernels.cuda.machine_code import architectures, has_source
from raylax.kernels.cuda.nvrtc import place
from raylax.kernels.cuda.target import KNOWN
from raylax.kernels.errors import CompileError, UntrustedPath
from raylax.kernels.options import LIBRARY, ModelOptions
from raylax.worker.config import EngineConfig
from raylax.worker.errors import ConfigError
from raylax.worker.ranks.loading import plan_rank
from tests.kernels.cuda.conftest import Ask
from tests.support.cuda_graphs import compiled

FORMATS = {"sm_80": "q0f32", "sm_89": "q0f16", "sm_90": "q0bf16", "sm_100": "q0bf16"}
LOADED = """
import json, sys
from raylax.kernels.cuda.runtime import load_cuda_runtime
import tvm_ffi

load_cuda_runtime()
machine = tvm_ffi.load_module({library!r})["vm_load_executable"]()
print(json.dumps([machine["get_function_arity"]("step"), "tvm" in sys.modules]))
"""
PLANNED = """
import json, sys
from pathlib import Path
from raylax.kernels.build import build, footprint
from raylax.kernels.options import ModelOptions
from raylax.kernels.errors import CompileError

said = []
for device in ("cuda:0", "cuda:1"):
    options = ModelOptions(device=device, library={library!r})
    try:
        said.append(build(Path({checkpoint!r}), options, 32))
    except CompileError as error:
        said.append(str(error))
size = footprint(Path({checkpoint!r}), options)
print(json.dumps([*said, size.weights, size.page, "tvm" in sys.modules]))
"""
Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def library(checkpoint: Path, store: Path, compiler: None) -> Make:
    """A chip's name -> a library with its machine code, by `raylax compile`'s own way."""

    @cache
    def one(chip: str) -> Path:
        options = ModelOptions(FORMATS[chip], device="cuda", target=chip)
        return Path(build(checkpoint, options, 32, store))

    return one


@pytest.fixture(scope="module")
def on_cpu(checkpoint: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same graph, for this CPU: it has the same facts beside it. A copy of our own."""
    kept = compiled(checkpoint, "q0f32", store)
    return copytree(kept.parent, tmp_path_factory.mktemp("library") / "copy") / kept.name


@pytest.mark.parametrize("chip", [one.name for one in KNOWN])
def test_a_library_holds_machine_code_of_its_chip(chip: str, library: Make) -> None:
    """And no source of any kind: the machine that runs it compiles nothing."""
    content = library(chip).read_bytes()

    assert set(architectures(content)) == {chip}
    assert not has_source(content)


def test_source_is_seen_in_a_library() -> None:
    """What TVM would embed without its CUDA run time, and what a driver would compile."""
    assert has_source(b'\x7fELF extern "C" __global__ void __launch_bounds__(64) step_kernel(')
    assert has_source(b".version 9.0\n.target sm_90\n.address_size 64\n")
    assert architectures(b"\x7fELF\x02\x01") == []


def test_a_library_is_made_once(library: Make, checkpoint: Path, store: Path) -> None:
    """The store has one for each chip, and says so at once."""
    before = library("sm_90").stat().st_mtime_ns
    stages: list[str] = []

    options = ModelOptions(FORMATS["sm_90"], device="cuda", target="sm_90")
    found = build(checkpoint, options, 32, store, lambda stage, _: stages.append(stage))

    assert Path(found).stat().st_mtime_ns == before
    assert stages == ["compile for sm_90"]
    assert library("sm_90") != library("sm_80")


def test_a_library_loads_by_the_run_time_alone(library: Make, on_fake_gpus: Ask) -> None:
    """Without TVM's compiler, on a machine with a driver."""
    arity, compiler_loaded = on_fake_gpus(LOADED.format(library=str(library("sm_90"))))

    assert arity == 12  # eight arrays of integers, two tables, pages, weights
    assert not compiler_loaded


def test_a_library_is_for_the_gpu_that_is_there(
    library: Make, checkpoint: Path, on_fake_gpus: Ask
) -> None:
    """The first GPU runs it, the second is of another generation. TVM is not needed to know."""
    path = str(library("sm_90"))
    first, second, weights, page, compiler_loaded = on_fake_gpus(
        PLANNED.format(library=path, checkpoint=str(checkpoint))
    )

    assert first == path
    assert second == (
        f"{path} was compiled for cuda/sm_90, and cuda:1 is a Second of compute capability 8.6"
    )
    assert page == 2 * 2 * 2 * 16 * 32 * 2  # layers, K and V, heads, tokens, dim, bytes
    parameters = Facts.beside(Path(path)).parameters
    assert weights == sum(2 * prod(shape) for _, shape, dtype in parameters if dtype == "bfloat16")
    assert not compiler_loaded


def test_facts_come_back(on_cpu: Path, checkpoint: Path) -> None:
    """What was written is what is read."""
    facts = Facts.beside(on_cpu)

    facts.check(on_cpu, open_checkpoint(checkpoint).spec, "auto")

    assert facts.parameters[0] == ("w_embed", (99, 64), "float32")
    assert facts.quantization == "q0f32"


def test_a_library_of_another_model_is_refused(on_cpu: Path, checkpoint: Path) -> None:
    """By the first thing that differs."""
    spec = replace(open_checkpoint(checkpoint).spec, hidden=128)

    with pytest.raises(CompileError, match="another model: hidden is 64 there, and 128 in this ch"):
        Facts.beside(on_cpu).check(on_cpu, spec, "auto")


def test_a_library_of_another_format_is_refused(on_cpu: Path, checkpoint: Path) -> None:
    with pytest.raises(CompileError, match="for quantization q0f32, found q0f16"):
        Facts.beside(on_cpu).check(on_cpu, open_checkpoint(checkpoint).spec, "q0f16")


def test_a_library_of_another_machine_is_refused(on_cpu: Path, checkpoint: Path) -> None:
    """TVM's run time must be the one that it was compiled with."""
    facts = replace(Facts.beside(on_cpu), host="sparc, apache-tvm 0.1")

    with pytest.raises(CompileError, match=r"runs on sparc, apache-tvm 0\.1; this is .*0\.27"):
        facts.check(on_cpu, open_checkpoint(checkpoint).spec, "auto")


def test_what_is_no_library_is_refused(tmp_path: Path) -> None:
    """A path that is not there, or whose facts are damaged, or that lost its library."""
    path = tmp_path / LIBRARY
    with pytest.raises(CompileError, match="model_lib must be the step.so that `raylax compile"):
        Facts.beside(path)
    (tmp_path / FACTS).write_text(json.dumps({"target": "cuda/sm_90"}))
    with pytest.raises(CompileError, match=r"with its step.json beside it; found .*'parameters'"):
        Facts.beside(path)


def test_a_library_that_another_user_could_replace_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    """Before anything of it is read."""
    (tmp_path / LIBRARY).touch()
    tmp_path.chmod(0o777)
    options = ModelOptions("q0f32", device="cuda", library=str(tmp_path / LIBRARY))

    with pytest.raises(UntrustedPath, match=rf"{tmp_path} can be written .*model_lib"):
        build(checkpoint, options, 1, tmp_path)


def test_an_engine_on_a_cpu_refuses_a_library_for_gpus(on_cpu: Path, checkpoint: Path) -> None:
    """Before anything is compiled."""
    facts = replace(Facts.beside(on_cpu), target="cuda/sm_90")
    facts.write(on_cpu.parent)
    config = EngineConfig(model=str(checkpoint), mode="server", model_lib=str(on_cpu))

    with pytest.raises(ConfigError, match="is for cuda/sm_90, and this engine runs on a CPU"):
        plan_rank(config, "cpu")


def test_a_wheel_that_is_missing_is_named() -> None:
    """With what to install."""
    with pytest.raises(CompileError, match=r"no-such-wheel here: pip install 'raylax\[cuda-com"):
        place("no-such-wheel", "file")
