"""Heads of EAGLE-1, 2 and 3 on a CPU, https://github.com/SafeAILab/EAGLE, and what is computed
alike.

A head runs as its base does, compiled by the same step, in one process: of several ranks one has
it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from raylax.kernels.build import Footprint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.model import CpuModel
from raylax.kernels.cpu.program import MOST_PAGES
from raylax.kernels.errors import CompileError, only_on_cpu
from raylax.kernels.heads.base import DraftHead, HeadOutput
from raylax.kernels.heads.checkpoint import HeadCheckpoint
from raylax.kernels.heads.mtp import OwnHead
from raylax.kernels.model import Floats, Ints, StepBatch, StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback, silent
from raylax.kernels.shards import Degree


def head_artefacts(
    path: Path, base: Path, options: ModelOptions, progress: ProgressCallback
) -> tuple[HeadCheckpoint | OwnHead, Artefacts]:
    """A head as it lies there, and what it is run from. Raises KernelsError."""
    if options.on_gpu:
        raise CompileError(only_on_cpu(f"draft heads are not there on {options.device}"))
    read = read_head(path, base)
    alone = replace(options, degree=Degree(), taps=(), library=None)
    return read, Artefacts(read, alone, None, progress)


def head_taps(path: Path, base: Path) -> tuple[int, ...]:
    """`DraftHead.taps` of a head that is not loaded yet. Raises KernelsError."""
    return tuple(sorted(set(read_head(path, base).taps)))


def read_head(path: Path, base: Path) -> HeadCheckpoint | OwnHead:
    """A head as it lies there. Raises KernelsError."""
    own = path.resolve() == base.resolve()
    return (OwnHead if own else HeadCheckpoint)(path, open_checkpoint(base))


def load_head(
    path: Path, base: Path, options: ModelOptions, pages: int, progress: ProgressCallback = silent
) -> DraftHead:
    """A head that is ready to run: found or compiled, mapped or packed. `base`: the checkpoint that
    it was made for; where that brings it itself, both paths are the same. `options`: as its
    base's. Raises KernelsError."""
    read, artefacts = head_artefacts(path, base, options, progress)
    program = artefacts.program.with_pages(pages)
    functions, place = artefacts.functions()
    packed = artefacts.weights()
    progress("load", 1.0)
    return FusedHead(read, artefacts.options, program, functions, place, packed)


def head_footprint(path: Path, base: Path, options: ModelOptions) -> Footprint:
    """What a head will need, without building it. Raises KernelsError."""
    read, artefacts = head_artefacts(path, base, options, silent)
    program = artefacts.program
    return Footprint(
        read.spec,
        program.bytes_of("weight", "layer"),
        program.bytes_of("work", "input", "table"),
        program.bytes_of("state"),
        MOST_PAGES,
        program.weights_key,
    )


class FusedStep(CpuModel):
    """The compiled step of a head."""

    @property
    def goes_on_normed(self) -> bool:
        """Whether the next step takes what the logits are made of, as the first one does of the
        base."""
        return self.spec.fusion is not None and self.spec.fusion.into == "residual"

    def features(self, tapped: Floats) -> Floats:
        """What the base keeps of some tokens, as features."""
        a, (count, columns) = self._arrays, tapped.shape
        a["tapped"][:count, :columns] = tapped
        a["sizes"][0] = count
        self._run("features", count)
        return np.array(self.hidden(count)[:, : self.spec.hidden])

    def step_from(self, batch: StepBatch, features: Floats) -> StepOutput:
        """`step` of tokens that each go on from a feature."""
        self._arrays["x"][: len(features), : self.spec.hidden] = features
        return self.step(batch)

    def residual(self, rows: Ints) -> Floats:
        """f32[rows, hidden]: what the last step's layer came to, before any norm."""
        stream: Floats = self._arrays["x"][rows, : self.spec.hidden]
        return stream


class FusedHead:
    """A head that runs, see `DraftHead`."""

    def __init__(self, read: HeadCheckpoint | OwnHead, *loaded: Any) -> None:
        """`loaded`: the rest of what `CpuModel` is made of."""
        self._model = FusedStep(read.spec, *loaded)
        self._tokens, self._wanted = read.tokens, read.taps
        self.taps = tuple(sorted(set(read.taps)))
        self.vocab, self._base_hidden = read.base.spec.vocab, read.base.spec.hidden
        self.pages, self.page_bytes = self._model.pages, self._model.page_bytes
        self.quantization = self._model.quantization
        self.read_page, self.write_page = self._model.read_page, self._model.write_page

    def features(self, tapped: Floats) -> Floats:
        """What the head takes of tokens that the base has computed."""
        if self._wanted != self.taps:  # a layer may be wanted twice
            parts = tapped.reshape(len(tapped), len(self.taps), self._base_hidden)
            places = [self.taps.index(tap) for tap in self._wanted]
            tapped = parts[:, places].reshape(len(tapped), -1)
        return self._model.features(tapped)

    def step(self, batch: StepBatch, features: Floats) -> HeadOutput:
        """Run one ragged batch."""
        found = self._model.step_from(batch, features)
        hidden = found.hidden if self._model.goes_on_normed else self._model.residual(batch.rows)
        tokens = self._tokens
        drawn = found.drawn if tokens is None else tokens[found.drawn]
        return HeadOutput(found.logits, tokens, drawn, hidden)
