"""What the demo model's draft head comes to on the CPU: the device's is compared with it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from pieces import Piece, batch_of

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.heads.base import DraftHead
from raylax.kernels.heads.eagle import load_head
from raylax.kernels.options import ModelOptions

LENGTHS, SMALL_LENGTHS = (21, 5, 1), (3,)
PAGES = 16
Arrays = dict[str, npt.NDArray[np.float32]]


def width_of(head: DraftHead, hidden: int) -> int:
    """Of what its base keeps of a token."""
    return len(head.taps) * hidden


def given(length: int, width: int) -> tuple[list[int], npt.NDArray[np.float32]]:
    """Tokens, and f32[length, width] of what a base would keep of them; the same at every call."""
    rng = np.random.default_rng(length)
    tokens = [int(one) for one in rng.integers(3, 500, length)]
    return tokens, rng.standard_normal((length, width), np.float32)


def come_to(head: DraftHead, length: int, width: int) -> Arrays:
    """Features of a prompt, and of its last token the logits and the feature that goes on."""
    tokens, tapped = given(length, width)
    features = head.features(tapped)
    pages = range(1, 2 + length // 16)
    out = head.step(batch_of([Piece(tokens, 0, pages)]), features)
    return {
        "features": features,
        "logits": named(head, out.logits, out.tokens),
        "hidden": out.hidden.copy(),
    }


def named(
    head: DraftHead, logits: npt.NDArray[np.float32], tokens: npt.NDArray[np.int32] | None
) -> npt.NDArray[np.float32]:
    """Logits of all tokens of the base; of those that the head cannot name -inf."""
    if tokens is None:
        return np.array(logits)
    every = np.full((len(logits), head.vocab), -np.inf, np.float32)
    every[:, tokens] = logits
    return every


def keep(head: Path, base: Path, small: bool, file: Path) -> None:
    """Writes what the CPU comes to, by length. Raises KernelsError."""
    options = ModelOptions("q0bf16", "auto", "cpu", None, 2, 128, 64, 256)
    loaded = load_head(head, base, options, PAGES)
    width = width_of(loaded, open_checkpoint(base).spec.hidden)
    found = {
        f"{length}.{name}": one
        for length in (SMALL_LENGTHS if small else LENGTHS)
        for name, one in come_to(loaded, length, width).items()
    }
    np.savez(file, **found)
