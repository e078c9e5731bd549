"""Whether a checkpoint's weights are numbers."""

from collections.abc import Iterable, Iterator

import numpy as np

from raylax.kernels.checkpoints.base import Checkpoint


def not_finite(checkpoint: Checkpoint, names: Iterable[str]) -> Iterator[str]:
    """What is wrong with each of these tensors that has values which are not finite."""
    for name in names:
        tensor = checkpoint.tensor(name)
        if count := int(tensor.size - np.isfinite(tensor).sum()):
            yield f"tensor {name} has {count} of {tensor.size} values that are NaN or infinite"
