"""Medusa's heads: https://github.com/FasterDecoding/Medusa.

Each says what comes so many tokens further on, of what the base knows now: they have no pages, and
know nothing of each other's tokens.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from raylax.kernels.build import Footprint
from raylax.kernels.checkpoints.base import Checkpoint
from raylax.kernels.checkpoints.hugging_face import (
    check_precisions,
    tensors_in,
    weight_files,
)
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.checkpoints.stored import StoredCheckpoint
from raylax.kernels.checkpoints.tensors import StoredTensor, tensors_for
from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.model import check_arrays
from raylax.kernels.cpu.program import MOST_PAGES, Program
from raylax.kernels.cpu.weights import map_weights
from raylax.kernels.cuda.build import build_read, load_read, sizes
from raylax.kernels.cuda.heads.medusa import MedusaOnDevice
from raylax.kernels.draws.rules import StepDraws
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.values import count
from raylax.kernels.heads.config import check_same, config_in, named_after
from raylax.kernels.memory import aligned_copy, aligned_zeros, is_aligned
from raylax.kernels.model import Floats, StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback, silent
from raylax.kernels.runtime import as_tensor
from raylax.kernels.shards import GROUP, Degree
from raylax.kernels.spec import DecoderSpec, Rope

FILES = ("medusa_lm_head.safetensors", "medusa_lm_head.pt", "model.safetensors",
         "pytorch_model.bin")  # fmt: skip
PREFIX = re.compile(r"^medusa_heads?\.")
HEAD = re.compile(r"(\d+)\.\d+\.")


class MedusaCheckpoint(StoredCheckpoint):
    """A directory with Medusa's heads for a base."""

    def __init__(self, path: Path, base: Checkpoint) -> None:
        """Raises CheckpointError for what is missing, damaged, or another base's."""
        self.path, self.base, self.config = path, base, config_in(path)
        if self.config.get("medusa_num_heads") is None:
            raise CheckpointError(
                f"{path}: are no heads of Medusa's: its config.json has no medusa_num_heads"
            )
        self._paths = weight_files(path, FILES)
        found = tensors_in(self._paths)
        tensors: dict[str, Any] = {PREFIX.sub("", name): one for name, one in found.items()}
        with named_after(path):
            self.spec = self._spec(tensors)
        self.tensors: Mapping[str, StoredTensor] = tensors_for(self.spec, tensors, path)
        check_precisions({n: one for n, one in tensors.items() if n in self.tensors})
        self.dtype = str(tensors[f"0.{self.spec.blocks}.weight"].precision)

    @property
    def files(self) -> list[Path]:
        """Of weights."""
        return self._paths

    @property
    def text(self) -> Path:
        """The base's: heads have no words of their own."""
        return self.base.text

    def _spec(self, tensors: Mapping[str, StoredTensor]) -> DecoderSpec:
        """All heads that are there: published configs name fewer."""
        base, named = self.base.spec, count(self.config, "medusa_num_heads")
        blocks = count(self.config, "medusa_num_layers", 1)
        heads = len({one[1] for name in tensors if (one := HEAD.match(name))})
        if named > heads:
            raise CheckpointError(
                f"config.json: medusa_num_heads is {named}, the file has {heads} heads"
            )
        for key, what, own in (
            ("vocab_size", "vocabulary", base.vocab),
            ("hidden_size", "hidden size", base.hidden),
        ):
            check_same(self.path, what, count(self.config, key, own), own)
        if (last := tensors.get(f"0.{blocks}.weight")) is not None and len(last.shape) == 2:
            check_same(self.path, "vocabulary", last.shape[0], base.vocab)
            check_same(self.path, "hidden size", last.shape[1], base.hidden)
        return DecoderSpec(
            architecture="",
            hidden=base.hidden,
            layers=heads,
            heads=1,
            kv_heads=1,
            head_dim=GROUP,
            intermediate=GROUP,
            vocab=base.vocab,
            rope=Rope(1.0),
            norm_eps=base.norm_eps,
            max_positions=1,
            tied_embeddings=False,
            blocks=blocks,
        )


def read_medusa(
    path: Path, base: Path, options: ModelOptions
) -> tuple[MedusaCheckpoint, ModelOptions]:
    """Heads as they lie there, and how they are built beside a base of these options. Raises
    KernelsError."""
    alone = replace(options, degree=Degree(), taps=())
    return MedusaCheckpoint(path, open_checkpoint(base)), alone


def build_medusa(path: Path, base: Path, options: ModelOptions, progress: ProgressCallback) -> None:
    """Make in the store what `load_medusa` will need. Raises KernelsError."""
    read, options = read_medusa(path, base, options)
    if options.on_gpu:
        build_read(read, options, progress=progress)
        return
    artefacts = Artefacts(read, options, None, progress)
    artefacts.library()
    artefacts.weights()


def load_medusa(
    path: Path, base: Path, options: ModelOptions, progress: ProgressCallback = silent
) -> "MedusaHead | MedusaOnDevice":
    """Heads that are ready to run: found or compiled, mapped or packed. `base`: the checkpoint that
    they were made for; `options`: as its base's, but for their own library. Raises KernelsError."""
    read, options = read_medusa(path, base, options)
    if options.on_gpu:
        return load_read(MedusaOnDevice, read, options, 0, progress=progress)
    artefacts = Artefacts(read, options, None, progress)
    program = artefacts.program
    functions, _ = artefacts.functions()
    packed = artefacts.weights()
    progress("load", 1.0)
    return MedusaHead(read.spec, program, functions, packed)


def medusa_footprint(path: Path, base: Path, options: ModelOptions) -> Footprint:
    """What heads will need, without building them: no pages. Raises KernelsError."""
    read, options = read_medusa(path, base, options)
    if options.on_gpu:
        weights, workspace, _, most = sizes(read, options)
        return Footprint(read.spec, weights, workspace, 0, most)
    program = Artefacts(read, options, None, silent).program
    return Footprint(
        read.spec,
        program.bytes_of("weight", "layer"),
        program.bytes_of("work", "input"),
        0,
        MOST_PAGES,
        program.weights_key,
    )


class MedusaHead:
    """Heads that run. Used by the thread that runs their base; a row has the same bits whatever
    shares its step (law 1)."""

    draws = 0

    def __init__(self, spec: DecoderSpec, program: Program, functions: Any, packed: Path) -> None:
        self.heads, self.vocab, self.hidden = spec.layers, spec.vocab, spec.hidden
        self.quantization = program.quantization
        stored = map_weights(packed, program.table)
        self._arrays = {
            name: stored[name] if name in stored else aligned_zeros(buffer.shape, buffer.dtype)
            for name, buffer in program.table.items()
        }
        check_arrays(self._arrays, program.table)
        tensors = {
            name: as_tensor(array if is_aligned(array) else aligned_copy(array))
            for name, array in self._arrays.items()
        }
        self._function = program.functions["heads"]
        self._library = functions  # what is taken from it needs it alive
        self._variants = {
            name: partial(functions[name], *(tensors[one] for one in self._function.arguments))
            for _, name in self._function.variants
        }

    def begin(self, hidden: Floats) -> None:
        """f32[rows, hidden], as `StepOutput` has it of the base: what all heads go on from."""
        a, count = self._arrays, len(hidden)
        a["tapped"][:count, : self.hidden] = hidden
        a["sizes"][:] = count, self.heads
        self._variants[self._function.variant_for(count)]()

    def step(self, head: int, rows: list[int], draws: StepDraws | None = None) -> StepOutput:
        """What a head says of some of those rows: of the token that comes one further on than the
        base's next, two, and so on. It has drawn the first index of each row's largest logit."""
        a = self._arrays
        logits, drawn = a["logits"][head, rows, : self.vocab], a["chosen"][head, rows]
        largest = logits.max(1, initial=-np.inf)
        return StepOutput(logits, drawn, a["tapped"][rows, : self.hidden], largest)
