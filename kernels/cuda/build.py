"""The artefacts of a model for a GPU: its library, from the store or from where it was put."""

from dataclasses import asdict
from importlib.metadata import version
from math import prod
from pathlib import Path

from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.cuda import driver
from raylax.kernels.cuda.library import Facts
from raylax.kernels.cuda.target import (
    DTYPES,
    GPU,
    check_kv_dtype,
    gpu,
    gpu_for,
    quantization_of,
    unsupported,
)
from raylax.kernels.errors import CompileError
from raylax.kernels.families import weights_of
from raylax.kernels.options import LIBRARY, PAGE_SIZE, ModelOptions, ProgressCallback
from raylax.kernels.ownership import check_ours
from raylax.kernels.spec import DecoderSpec
from raylax.kernels.store import Store, key_of, source_hash

MOST_ELEMENTS = 2**31 - 1  # TVM's kernels index a layer's pages by int32


def target_of(options: ModelOptions) -> GPU:
    """The chip that is named, else the one that is here. Raises CompileError."""
    if options.target is not None:
        return gpu(options.target)
    return gpu_for(driver.properties(driver.index_of(options.device)).capability)


def check(checkpoint: Checkpoint, options: ModelOptions) -> str:
    """The name of the format that the model will have. Raises CompileError for what is not there on
    CUDA, by name."""
    if options.degree.ranks > 1:
        raise CompileError(
            unsupported(
                "tensor_parallel_shards and pipeline_parallel_stages must be 1 on CUDA, found "
                f"{options.degree.tensor} and {options.degree.pipeline}"
            )
        )
    name = options.quantization
    if options.library is not None and name == "auto":
        name = Facts.beside(Path(options.library)).quantization
    quantization = quantization_of(name, checkpoint.dtype)
    check_kv_dtype(options.kv_dtype, quantization)
    return quantization


def library(
    checkpoint: Checkpoint, options: ModelOptions, store: Store, progress: ProgressCallback
) -> Path:
    """Where the model's library is; compiled if it was not there. Raises CompileError."""
    quantization = check(checkpoint, options)
    if options.library is not None:
        path = Path(options.library)
        check_ours(path)
        facts = Facts.beside(path)
        facts.check(path, checkpoint.spec, options.quantization)
        check_runs(facts, options)
        return path
    chip = target_of(options)
    facts_of = {
        "spec": asdict(checkpoint.spec),
        "quantization": quantization,
        "target": f"cuda/{chip.name}",
        "tvm": version("apache-tvm"),
        "kernels": source_hash(),
    }

    def make(directory: Path) -> None:
        from raylax.kernels.cuda.compile import compile_library

        progress(f"compile for {chip.name}", 0.0)
        compile_library(checkpoint.spec, quantization, chip, directory)

    directory, _ = store.get("library", key_of(facts_of), make)
    progress(f"compile for {chip.name}", 1.0)
    return directory / LIBRARY


def check_runs(facts: Facts, options: ModelOptions) -> None:
    """Raises CompileError where a library's machine code is for other chips than ours."""
    here = driver.properties(driver.index_of(options.device))
    if not gpu(facts.target.removeprefix("cuda/")).runs_on(here.capability):
        raise CompileError(
            f"{options.library} was compiled for {facts.target}, and {options.device} is a "
            f"{here.name} of compute capability {here.capability[0]}.{here.capability[1]}"
        )


def sizes(checkpoint: Checkpoint, options: ModelOptions) -> tuple[int, int, int, int]:
    """Bytes of weights, of workspace, of a page over all layers; and the most pages."""
    spec = checkpoint.spec
    item = 4 if DTYPES[check(checkpoint, options)] == "float32" else 2
    page = 2 * spec.kv_heads * spec.head_dim * PAGE_SIZE
    return (
        matrix_elements(spec) * item,
        workspace(spec, options.max_step_tokens, options.max_step_rows),
        page * item * spec.layers,
        MOST_ELEMENTS // page,
    )


def matrix_elements(spec: DecoderSpec) -> int:
    """How many numbers the matrices of all layers have; vectors are too short to count."""
    return sum(
        prod(weight.shape) * (spec.layers if weight.layered else 1)
        for weight in weights_of(spec).values()
        if weight.is_matrix
    )


def workspace(s: DecoderSpec, tokens: int, rows: int) -> int:
    """What the largest step keeps between operators, in f32 and in the format's precision."""
    widest = s.qkv_rows + 2 * s.heads * s.head_dim + 3 * s.intermediate + 4 * s.hidden
    return tokens * widest * 6 + rows * (s.vocab + s.hidden) * 4
