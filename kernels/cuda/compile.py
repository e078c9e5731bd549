"""A model's step as a library with machine code for a GPU, made on any machine."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import tvm
from tvm.support.cc import get_cc

from raylax.kernels.cuda.codegen import machine_code_for
from raylax.kernels.cuda.graph import build_graph
from raylax.kernels.cuda.library import Facts, host
from raylax.kernels.cuda.machine_code import architectures, has_source
from raylax.kernels.cuda.schedule import GPU_RULES, pipeline
from raylax.kernels.cuda.target import DTYPES, GPU
from raylax.kernels.errors import CompileError
from raylax.kernels.options import LIBRARY
from raylax.kernels.spec import DecoderSpec


def compile_library(spec: DecoderSpec, quantization: str, gpu: GPU, directory: Path) -> None:
    """Writes the library and its facts. Raises CompileError."""
    with machine_code_for(gpu) as target:
        facts = compile_graph(spec, quantization, target, f"cuda/{gpu.name}", directory, GPU_RULES)
    content = (directory / LIBRARY).read_bytes()
    if has_source(content) or set(architectures(content)) != {gpu.name}:
        raise CompileError(
            f"target cuda/{gpu.name}: the library holds {architectures(content) or 'source'}"
        )
    facts.write(directory)


def compile_graph(
    spec: DecoderSpec, quantization: str, target: Any, name: str, directory: Path, rules: Any
) -> Facts:
    """Writes the library of a step for any of TVM's targets; returns the facts to lie beside it.
    Raises CompileError."""
    if (cc := get_cc()) is None:
        raise CompileError(f"target {name} needs a C compiler to link, and none is on the PATH")
    try:
        module, parameters = build_graph(spec, DTYPES[quantization], target)
        executable = tvm.compile(module, target=target, relax_pipeline=pipeline(rules))
        executable.export_library(str(directory / LIBRARY), cc=cc)
    except (ValueError, RuntimeError) as error:
        raise CompileError(f"target {name}: {error}") from error
    weights = tuple((key, tuple(map(int, p.shape)), str(p.dtype)) for key, p in parameters)
    return Facts(name, quantization, asdict(spec), weights, host())
