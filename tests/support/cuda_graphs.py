"""The graph for GPUs as models on this CPU: all is the same but the schedules of a GPU."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.model import load_model
from raylax.kernels.cuda.compile import compile_graph
from raylax.kernels.cuda.library import host
from raylax.kernels.cuda.model import CudaModel
from raylax.kernels.model import Model
from raylax.kernels.options import LIBRARY, ModelOptions, silent
from tests.support.batches import Floats, Piece, arrays
from tests.support.kept import kept

PAGES = 32
PROMPT = np.random.default_rng(5).integers(0, 99, 40).tolist()
WHOLE = Piece(PROMPT, 0, [3, 1, 2])
OTHER = Piece(PROMPT[7:39], 0, [9, 7])
SHARES = {"q0f32": 1e-5, "q0f16": 0.003, "q0bf16": 0.03}
"""Of the largest logit: how far a format may be from our own kernels in f32."""


def compiled(checkpoint: Path, quantization: str, store: Path) -> Path:
    """The library of the graph, for any CPU of this architecture; kept in the store."""
    spec = open_checkpoint(checkpoint).spec

    def make(directory: Path) -> None:
        import tvm

        target = tvm.target.Target({"kind": "llvm", "mcpu": "generic"})
        compile_graph(spec, quantization, target, "cpu", directory, ()).write(directory)

    facts = {"graph of": asdict(spec), "quantization": quantization, "host": host()}
    return kept(store, facts, make) / LIBRARY


def options(quantization: str, device: str = "cpu") -> ModelOptions:
    """The same sizes for every model of these tests."""
    return ModelOptions(quantization, "auto", device, None, 2, 64, 8, 128)


def on_device(checkpoint: Path, quantization: str, library: Path) -> CudaModel:
    """The model that a compiled library is, ready to step."""
    return CudaModel(open_checkpoint(checkpoint), options(quantization), library, PAGES, silent)


def logits(model: Model, *pieces: Piece) -> Floats:
    """A step's logits, at the end of every piece."""
    return model.step(**arrays(pieces)).logits.copy()


def two_steps(run: Callable[..., Floats]) -> Floats:
    """A prompt, then a decode of it beside another prompt."""
    return np.concatenate([run(WHOLE), run(Piece([5], 40, [3, 1, 2]), OTHER)])


def distance(model: CudaModel, checkpoint: Path, store: Path) -> float:
    """From our own kernels in f32, as a share of the largest logit."""
    own = load_model(checkpoint, options("q0f32"), PAGES, store)
    found, expected = (two_steps(lambda *p, m=m: logits(m, *p)) for m in (model, own))
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def is_the_same_in_any_batch(model: CudaModel) -> bool:
    """Law 1: a prompt at once, in chunks, and beside another one."""
    alone = logits(model, WHOLE)
    logits(model, Piece(PROMPT[:13], 0, [3, 1, 2]))
    in_chunks = logits(model, Piece(PROMPT[13:], 13, [3, 1, 2]))
    beside = logits(model, OTHER, WHOLE)
    return np.array_equal(alone, in_chunks) and np.array_equal(alone, beside[1:])
