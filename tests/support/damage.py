"""A model whose memory goes bad while it runs."""

import numpy as np

from raylax.kernels.cpu.model import CpuModel
from raylax.worker.engine.threaded_engine import ThreadedEngine


def damage(engine: ThreadedEngine, weight: str) -> None:
    """Make a weight NaN, as it is in this engine's memory: the store's copy is another. The model
    is one of f32."""
    executor = engine._slot.loaded().executor
    assert isinstance(executor.rank.model, CpuModel)
    executor.rank.model._arrays[weight][...] = np.nan
