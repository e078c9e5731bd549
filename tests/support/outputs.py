"""What steps come to, for tests whose models are functions."""

import numpy as np
import numpy.typing as npt

from raylax.kernels.model import StepOutput


def saying(tokens: npt.ArrayLike, vocab: int) -> StepOutput:
    """A row for each of these tokens, which has the largest logit."""
    drawn = np.array(tokens, np.int32)
    logits = np.zeros((len(drawn), vocab), np.float32)
    logits[np.arange(len(drawn)), drawn] = 1.0
    return StepOutput(logits, drawn, logits[:, :4], logits.max(1, initial=0.0))


def spoiled(output: StepOutput, rows: npt.NDArray[np.bool_]) -> StepOutput:
    """The same, but that these rows are no numbers."""
    output.logits[rows] = np.nan
    return output._replace(largest=np.where(rows, np.float32("nan"), output.largest))
