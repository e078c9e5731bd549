"""Writes the logits that transformers computes for the tiny checkpoints of `tests/checkpoints.py`.

    python tests/goldens/make.py      # in an environment with torch and transformers

`logits.npz` holds, for each variant, f32[tokens, vocab] of one prompt; the tests compare with it.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.checkpoints import VARIANTS, config_of, write_checkpoint  # noqa: E402

LENGTH = 70  # beyond the original positions of the scaled rope, and several pages


def main() -> None:
    goldens = {}
    for variant in VARIANTS:
        ids = np.random.default_rng(1).integers(0, config_of(variant)["vocab_size"], LENGTH)
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = write_checkpoint(Path(folder), variant)
            model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
            with torch.inference_mode():
                logits = model(torch.tensor(ids)[None]).logits[0]
        goldens[f"{variant}/ids"] = ids.astype(np.int32)
        goldens[f"{variant}/logits"] = logits.numpy()
    np.savez_compressed(HERE / "logits.npz", **goldens)


if __name__ == "__main__":
    main()
