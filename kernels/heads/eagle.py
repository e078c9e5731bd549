"""Heads of EAGLE-1, 2 and 3, https://github.com/SafeAILab/EAGLE, and what is computed alike.

A head runs as its base does, compiled by the same step, in one process: of several ranks one has
it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from raylax.kernels.build import Footprint
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.cpu.model import CpuModel
from raylax.kernels.cpu.program import MOST_PAGES
from raylax.kernels.cuda.build import build_read, load_read, sizes
from raylax.kernels.cuda.heads.model import HeadOnDevice
from raylax.kernels.heads.base import DraftHead, HeadOutput
from raylax.kernels.heads.checkpoint import HeadCheckpoint
from raylax.kernels.heads.mtp import OwnHead
from raylax.kernels.model import Floats, Ints, StepBatch, StepOutput
from raylax.kernels.options import ModelOptions, ProgressCallback, silent
from raylax.kernels.shards import Degree


def alone(options: ModelOptions) -> ModelOptions:
    """How a head is built beside a base of these: in one process."""
    return replace(options, degree=Degree(), taps=())


def head_taps(path: Path, base: Path) -> tuple[int, ...]:
    """`DraftHead.taps` of a head that is not loaded yet. Raises KernelsError."""
    return tuple(sorted(set(read_head(path, base).taps)))


def read_head(path: Path, base: Path) -> HeadCheckpoint | OwnHead:
    """A head as it lies there. Raises KernelsError."""
    own = path.resolve() == base.resolve()
    return (OwnHead if own else HeadCheckpoint)(path, open_checkpoint(base))


def build_head(path: Path, base: Path, options: ModelOptions, progress: ProgressCallback) -> None:
    """Make in the store what `load_head` will need. Raises KernelsError."""
    read = read_head(path, base)
    if options.on_gpu:
        build_read(read, alone(options), progress=progress)
        return
    artefacts = Artefacts(read, alone(options), None, progress)
    artefacts.library()
    artefacts.weights()


def load_head(
    path: Path, base: Path, options: ModelOptions, pages: int, progress: ProgressCallback = silent
) -> DraftHead:
    """A head that is ready to run: found or compiled, mapped or packed. `base`: the checkpoint that
    it was made for; where that brings it itself, both paths are the same. `options`: as its
    base's, but for its own library. Raises KernelsError."""
    read, options = read_head(path, base), alone(options)
    if options.on_gpu:
        on_gpu = load_read(HeadOnDevice, read, options, pages, progress=progress)
        return FusedHead(read, on_gpu, None)
    artefacts = Artefacts(read, options, None, progress)
    program = artefacts.program.with_pages(pages)
    functions, place = artefacts.functions()
    packed = artefacts.weights()
    progress("load", 1.0)
    model = FusedStep(artefacts.spec, options, program, functions, place, packed)
    return FusedHead(read, model, read.tokens)


def head_footprint(path: Path, base: Path, options: ModelOptions) -> Footprint:
    """What a head will need, without building it. Raises KernelsError."""
    read, options = read_head(path, base), alone(options)
    if options.on_gpu:
        return Footprint(options.seen(read.spec), *sizes(read, options))
    artefacts = Artefacts(read, options, None, silent)
    program = artefacts.program
    return Footprint(
        artefacts.spec,
        program.bytes_of("weight", "layer"),
        program.bytes_of("work", "input", "table"),
        program.bytes_of("state"),
        MOST_PAGES,
        program.weights_key,
    )


class HeadStep(Protocol):
    """The step of a head on its device."""

    pages: int
    page_bytes: int
    quantization: str
    draws: bool

    def features(self, tapped: Floats) -> Floats:
        """What the base keeps of some tokens, as features: the caller's."""
        ...

    def step_from(self, batch: StepBatch, features: Floats) -> StepOutput:
        """The step of tokens that each go on from a feature; `hidden`: features for the next."""
        ...

    def read_page(self, page: int) -> bytes:
        """As `Model.read_page`."""
        ...

    def write_page(self, page: int, content: bytes) -> None:
        """As `Model.write_page`."""
        ...


class FusedStep(CpuModel):
    """The compiled step of a head."""

    def features(self, tapped: Floats) -> Floats:
        """As `HeadStep.features`."""
        a, (count, columns) = self._arrays, tapped.shape
        a["tapped"][:count, :columns] = tapped
        a["sizes"][0] = count
        self._run("features", count)
        return np.array(self.hidden(count)[:, : self.spec.hidden])

    def step_from(self, batch: StepBatch, features: Floats) -> StepOutput:
        """As `HeadStep.step_from`. The next step takes what the logits are made of, where the first
        one does so of the base; else what the layer came to, before any norm."""
        self._arrays["x"][: len(features), : self.spec.hidden] = features
        output, fusion = self.step(batch), self.spec.fusion
        if fusion is not None and fusion.into == "residual":
            return output
        return output._replace(hidden=self._arrays["x"][batch.rows, : self.spec.hidden])


class FusedHead:
    """A head that runs, see `DraftHead`."""

    def __init__(
        self, read: HeadCheckpoint | OwnHead, model: HeadStep, tokens: Ints | None
    ) -> None:
        """`tokens`: of the model's logits; None: they are the base's."""
        self._model, self._tokens, self._wanted = model, tokens, read.taps
        self.draws = model.draws
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
        found, tokens = self._model.step_from(batch, features), self._tokens
        drawn = found.drawn if tokens is None else tokens[found.drawn]
        return HeadOutput(found.logits, tokens, drawn, found.largest, found.hidden)
