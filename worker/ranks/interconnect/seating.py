"""Which seating a model's ranks have."""

from pathlib import Path

from raylax.kernels.cpu.artefacts import Artefacts
from raylax.kernels.options import ModelOptions, silent
from raylax.worker.ranks.interconnect.base import Seating
from raylax.worker.ranks.interconnect.compiled import CompiledSeating
from raylax.worker.ranks.interconnect.gpus import GpuSeating


def seating_of(checkpoint: Path, options: ModelOptions) -> Seating:
    """That of the device of the options. Raises KernelsError."""
    if options.on_gpu:
        return GpuSeating(options)
    return CompiledSeating(Artefacts(checkpoint, options, None, silent))
