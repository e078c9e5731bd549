"""Writes what transformers computes for the tiny checkpoints of each family
(`tests/support/family_checkpoints.py`).

    python tests/goldens/families.py      # in an environment with torch, transformers and raylax
    python tests/goldens/families.py NAME...   # only of these; what there is of others is kept

`families.npz` holds of each the ids of a prompt, and f32[END, vocab], its last logits; of quantised
ones some experts of the last layer, too, as transformers reads them. Those that classify have the
logits of labels instead, of the last beginnings of the prompt, those without a head f32[END,
hidden], their last states. A tensor that transformers misses,
or does not know, is an error.
"""

import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
    Mxfp4Config,
)

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.support.family_checkpoints import write_family  # noqa: E402
from tests.support.family_configs import CONFIGS, EMBEDDERS, SEEING  # noqa: E402

LENGTH, END = 70, 40
OF_IMAGES = re.compile("vision_tower|multi_modal_projector")


def computed(name: str) -> dict[str, np.ndarray]:
    """Ids, the last logits, and what was quantised."""
    config = (CONFIGS | EMBEDDERS)[name]
    config = {**config, **config.get("text_config", {})}
    ids = np.random.default_rng(1).integers(0, config["vocab_size"], LENGTH)
    classifies = config["architectures"][0].endswith("SequenceClassification")
    kind = AutoModelForSequenceClassification if classifies else AutoModelForCausalLM
    kind = AutoModel if name in EMBEDDERS else kind
    kind = AutoModelForImageTextToText if name in SEEING else kind
    quantised = "quantization_config" in config
    how = {"quantization_config": Mxfp4Config(dequantize=True)} if quantised else {}
    with tempfile.TemporaryDirectory() as folder:
        model, loading = kind.from_pretrained(
            write_family(Path(folder), name), dtype=torch.float32, output_loading_info=True,
            attn_implementation="eager", **how,
        )  # fmt: skip
    wrong = {
        key: [one for one in found if not OF_IMAGES.search(str(one))]
        for key, found in loading.items()
    }
    if any(wrong.values()):
        raise SystemExit(f"{name}: {wrong}")
    prompt = torch.tensor(ids)[None]
    with torch.inference_mode():
        if name in EMBEDDERS:
            states = model(prompt).last_hidden_state[0, -END:]
            return {"ids": ids.astype(np.int32), "states": states.numpy()}
        if classifies:
            ends = range(LENGTH - END + 1, LENGTH + 1)
            logits = torch.cat([model(prompt[:, :end]).logits for end in ends])
        else:
            logits = model(prompt).logits[0, -END:]
    found = {"ids": ids.astype(np.int32), "logits": logits.numpy()}
    if quantised:
        experts = model.model.layers[-1].mlp.experts
        for one in ("gate_up_proj", "down_proj"):
            found[one] = getattr(experts, one)[:2].detach().float().numpy()
    return found


def main() -> None:
    file, goldens = HERE / "families.npz", {}
    if sys.argv[1:]:
        goldens = dict(np.load(file))
    for name in sys.argv[1:] or CONFIGS | EMBEDDERS:
        found = computed(name)
        goldens |= {f"{name}/{what}": one for what, one in found.items()}
        print(name, *(float(np.abs(one).max()) for one in found.values()), flush=True)
    np.savez_compressed(file, **goldens)


if __name__ == "__main__":
    main()
