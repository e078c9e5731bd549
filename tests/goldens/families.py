"""Writes what transformers computes for the tiny checkpoints of each family
(`tests/support/family_checkpoints.py`).

    python tests/goldens/families.py      # in an environment with torch, transformers and raylax
    python tests/goldens/families.py NAME...   # only of these; what there is of others is kept

`families.npz` holds of each the ids of a prompt, and f32[END, vocab], its last logits. A tensor
that transformers misses, or does not know, is an error.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.support.family_checkpoints import CONFIGS, write_family  # noqa: E402

LENGTH, END = 70, 40


def computed(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids, and the last logits."""
    ids = np.random.default_rng(1).integers(0, CONFIGS[name]["vocab_size"], LENGTH)
    with tempfile.TemporaryDirectory() as folder:
        model, loading = AutoModelForCausalLM.from_pretrained(
            write_family(Path(folder), name), dtype=torch.float32, output_loading_info=True,
            attn_implementation="eager",
        )  # fmt: skip
    if wrong := {key: list(found) for key, found in loading.items() if found}:
        raise SystemExit(f"{name}: {wrong}")
    with torch.inference_mode():
        logits = model(torch.tensor(ids)[None]).logits[0, -END:]
    return ids.astype(np.int32), logits.numpy()


def main() -> None:
    file, goldens = HERE / "families.npz", {}
    if sys.argv[1:]:
        goldens = dict(np.load(file))
    for name in sys.argv[1:] or CONFIGS:
        goldens[f"{name}/ids"], goldens[f"{name}/logits"] = computed(name)
        print(name, float(np.abs(goldens[f"{name}/logits"]).max()), flush=True)
    np.savez_compressed(file, **goldens)


if __name__ == "__main__":
    main()
