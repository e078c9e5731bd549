"""Writes what transformers computes for the tiny checkpoints of `tests/support/checkpoints.py`.

    python tests/goldens/make.py      # in an environment with torch and transformers

`logits.npz` holds, for each variant, f32[tokens, vocab] of one prompt, and `hidden.npz` what those
are made of, f32[tokens, hidden] after the final norm; the tests compare with both. `sizes.npz`
and `sizes_hidden.npz` are the same of the models of odd sizes, of the end of a longer prompt.
`windows.npz` has its logits under the masks of sliding windows with sinks. `taps.npz` has of some
the residual stream before each layer, and behind the last one.
"""

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.support.checkpoints import ODD_SIZES, VARIANTS, config_of, write_checkpoint  # noqa: E402

LENGTH = 70  # beyond the original positions of the scaled rope, and several pages
LONG, END = 300, 40  # more keys than a block of attention has
WINDOWS = ((24, 0), (24, 4), (270, 0), (280, 16))
"""Tokens that are seen, and how many of those are the first ones."""
TAPPED, LAST = ("llama", "hidden-100-dim-80-mlp-biased"), 8


def computed(
    variants: Iterable[str], length: int, end: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Ids; and logits and hidden states of the last tokens."""
    goldens, hidden = {}, {}
    for variant in variants:
        ids = np.random.default_rng(1).integers(0, config_of(variant)["vocab_size"], length)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = write_checkpoint(Path(folder), variant)
            model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
            with torch.inference_mode():
                output = model(torch.tensor(ids)[None], output_hidden_states=True)
        goldens[f"{variant}/ids"] = ids.astype(np.int32)
        goldens[f"{variant}/logits"] = output.logits[0, -end:].numpy()
        hidden[variant] = output.hidden_states[-1][0, -end:].numpy()
    return goldens, hidden


def residual_streams(variant: str) -> np.ndarray:
    """f32[layers + 1, LAST, hidden]: what comes to each layer, and out of the last one."""
    ids = np.random.default_rng(1).integers(0, config_of(variant)["vocab_size"], LENGTH)
    streams = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(Path(folder), variant)
        model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    for module in (*model.model.layers, model.model.norm):
        module.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0][0, -LAST:]))
    with torch.inference_mode():
        model(torch.tensor(ids)[None])
    return torch.stack(streams).numpy()


def windowed() -> dict[str, np.ndarray]:
    """Ids, and f32[END, vocab] under the mask of each window."""
    variant = "llama"
    ids = np.random.default_rng(1).integers(0, config_of(variant)["vocab_size"], LONG)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(Path(folder), variant)
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint, dtype=torch.float32, attn_implementation="eager"
        )
    found, at = {"ids": ids.astype(np.int32)}, torch.arange(LONG)
    for window, sinks in WINDOWS:
        recent = at[None, :] > at[:, None] - (window - sinks)
        seen = (at[None, :] <= at[:, None]) & (recent | (at[None, :] < sinks))
        mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)[None, None]
        with torch.inference_mode():
            logits = model(torch.tensor(ids)[None], attention_mask=mask).logits
        found[f"{window}-{sinks}"] = logits[0, -END:].numpy()
    return found


def main() -> None:
    np.savez_compressed(HERE / "windows.npz", **windowed())
    taps = {variant: residual_streams(variant) for variant in TAPPED}
    np.savez_compressed(HERE / "taps.npz", **taps)
    for variants, logits, states, length, end in (
        (VARIANTS, "logits.npz", "hidden.npz", LENGTH, LENGTH),
        (ODD_SIZES, "sizes.npz", "sizes_hidden.npz", LONG, END),
    ):
        goldens, hidden = computed(variants, length, end)
        np.savez_compressed(HERE / logits, **goldens)
        np.savez_compressed(HERE / states, **hidden)


if __name__ == "__main__":
    main()
