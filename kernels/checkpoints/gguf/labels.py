"""Heads for labels of texts in GGUF files: those of rerankers, which llama.cpp calls classifiers.

A reranker that generates, as Qwen3-Reranker, has its logits of yes and of no there. The probability
of yes against no is the sigmoid of their difference: so it is read as a head of one label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raylax.kernels.checkpoints.base import WHOLE
from raylax.kernels.checkpoints.tensors import StoredTensor
from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.known import CLASSIFIES, FAMILIES

HEAD = "cls.output.weight"
MORE = "cls.weight", "cls.bias", "cls.output.bias"
"""What encoders have beside it, in the one or the other file."""
RANK = 4
"""Of `pooling_type`: what is said of a text is how well it fits."""
YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Difference:
    """The first of two rows, less the second."""

    whole: StoredTensor
    form = kind = "float32"

    @property
    def file(self) -> Path:
        return self.whole.file

    @property
    def shape(self) -> tuple[int, ...]:
        return 1, *self.whole.shape[1:]

    def read(self, rows: slice = WHOLE) -> npt.NDArray[np.float32]:
        """In f32."""
        both = self.whole.read()
        return (both[:1] - both[1:])[rows]

    def bits(self, dtype: str) -> None:
        """It lies in no file."""

    def blocks(self, rows: slice = WHOLE) -> None:
        """Nor in blocks."""


def labels_in(
    metadata: Mapping[str, Any], name: str, found: Mapping[str, StoredTensor], where: object
) -> dict[str, Any]:
    """What its config says of labels, `name` being that of its family; empty: it has none. Raises
    CheckpointError for a head that is another one."""
    prefix = metadata["general.architecture"]
    names = metadata.get(f"{prefix}.classifier.output_labels")
    judges = metadata.get(f"{prefix}.pooling_type") == RANK and names == [YES, NO]
    words = {"classifier_from_token": [NO, YES]} if judges else {}
    if HEAD not in found:
        return words
    labelled = name.removesuffix("ForCausalLM") + CLASSIFIES
    if labelled not in FAMILIES or (more := [one for one in MORE if one in found]):
        what = f"{', '.join(more)} beside {HEAD}" if labelled in FAMILIES else HEAD
        raise CheckpointError(f"{where}: a head for labels ({what}) is not supported in {name}")
    count = found[HEAD].shape[0]
    if judges and count == 2:
        return {**words, "architectures": [labelled], "id2label": {"0": YES}}
    if not isinstance(names, list) or len(names) != count:
        names = [f"LABEL_{at}" for at in range(count)]
    told = {str(at): str(one) for at, one in enumerate(names)}
    return {"architectures": [labelled], "id2label": told}
