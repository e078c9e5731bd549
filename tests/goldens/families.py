"""Writes what transformers computes for the tiny checkpoints of each family
(`tests/support/family_checkpoints.py`).

    python tests/goldens/families.py      # in an environment with torch, transformers and raylax
    python tests/goldens/families.py NAME...   # only of these; what there is of others is kept

`families.npz` holds of each the ids of a prompt, and f32[END, vocab], its last logits; of quantised
ones some experts of the last layer, too, as transformers reads them. Those that classify have the
logits of labels instead, of the last beginnings of the prompt, those without a head f32[END,
hidden], their last states. A tensor that transformers misses, or does not know, is an error.

Of InternLM 2, whose code its authors keep beside their weights, transformers computes a Llama of
the same weights, cut up as that code cuts up what they come to.
"""

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from safetensors.torch import load_file, save_file
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
from tests.support.family_configs import CONFIGS, EMBEDDERS, OF_OTHERS, SEEING  # noqa: E402

LENGTH, END = 70, 40
OF_IMAGES = re.compile("vision_tower|multi_modal_projector|visual")


def computed(name: str) -> dict[str, np.ndarray]:
    """Ids, the last logits, and what was quantised."""
    config = (CONFIGS | EMBEDDERS | OF_OTHERS)[name]
    config = {**config, **config.get("text_config", {})}
    ids = np.random.default_rng(1).integers(0, config["vocab_size"], LENGTH)
    classifies = config["architectures"][0].endswith("SequenceClassification")
    kind = AutoModelForSequenceClassification if classifies else AutoModelForCausalLM
    kind = AutoModel if name in EMBEDDERS else kind
    kind = AutoModelForImageTextToText if name in SEEING else kind
    quantised = "quantization_config" in config
    how = {"quantization_config": Mxfp4Config(dequantize=True)} if quantised else {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_family(Path(folder), name)
        if name in OF_OTHERS:
            as_llama(checkpoint, config)
        model, loading = kind.from_pretrained(
            checkpoint, dtype=torch.float32, output_loading_info=True,
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


AS_LLAMA = {
    "tok_embeddings": "embed_tokens", "output.": "lm_head.", "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm", "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj", "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
}  # fmt: skip


def as_llama(path: Path, config: dict[str, Any]) -> None:
    """Rewrites a checkpoint of InternLM 2."""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    weights = {}
    for name, values in load_file(path / "model.safetensors").items():
        for theirs, own in AS_LLAMA.items():
            name = name.replace(theirs, own)
        if "attention.wqkv" not in name:
            weights[name] = values
            continue
        parts = rearrange(values, "(h gs d) k -> h gs d k", h=kv_heads, gs=2 + heads // kv_heads)
        for one, own in zip("qkv", (parts[:, :-2], parts[:, -2:-1], parts[:, -1:]), strict=True):
            rows = rearrange(own, "h gs d k -> (h gs d) k").contiguous()
            weights[name.replace("attention.wqkv", f"self_attn.{one}_proj")] = rows
    save_file(weights, path / "model.safetensors", {"format": "pt"})
    llamas = {**config, "architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    (path / "config.json").write_text(json.dumps(llamas))


def main() -> None:
    file, goldens = HERE / "families.npz", {}
    if sys.argv[1:]:
        goldens = dict(np.load(file))
    for name in sys.argv[1:] or CONFIGS | EMBEDDERS | OF_OTHERS:
        found = computed(name)
        goldens |= {f"{name}/{what}": one for what, one in found.items()}
        print(name, *(float(np.abs(one).max()) for one in found.values()), flush=True)
    np.savez_compressed(file, **goldens)


if __name__ == "__main__":
    main()
