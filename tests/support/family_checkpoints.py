"""Tiny checkpoints of each family, with seeded random weights where its checkpoints have them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from raylax.kernels.families import spec_of, tensors_of
from tests.support.checkpoints import write_tokenizer
from tests.support.experts_together import together
from tests.support.family_configs import CONFIGS, EMBEDDERS, NAMES_INSIDE, OF_OTHERS, SEEING, Config


def write_family(path: Path, name: str) -> Path:
    """One of the CONFIGS, or of OF_OTHERS, as a checkpoint directory."""
    config = (CONFIGS | OF_OTHERS | EMBEDDERS)[name]
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    write_tokenizer(path)
    in_mxfp4, weights = "quantization_config" in config, drawn(config)
    if name in EMBEDDERS:
        write_modules(path)
        weights.pop("lm_head.weight", None)
        weights = {name.removeprefix("model."): values for name, values in weights.items()}
    if name in SEEING:
        weights = {one.replace(*NAMES_INSIDE[name], 1): values for one, values in weights.items()}
        weights["multi_modal_projector.norm.weight"] = np.ones(32, np.float32)
    save_file(together(weights, spec_of(config), in_mxfp4), path / "model.safetensors")
    return path


def write_modules(path: Path) -> None:
    """What Qwen3-Embedding has beside its weights: vectors are of a token behind each text, which
    its tokenizer appends."""
    steps = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")
    modules = [
        {"idx": at, "name": str(at), "path": folder, "type": f"sentence_transformers.models.{step}"}
        for at, (step, folder) in enumerate(steps)
    ]
    (path / "modules.json").write_text(json.dumps(modules))
    (path / "1_Pooling").mkdir(exist_ok=True)
    pooling = {"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True}
    (path / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    end = "<|im_end|>"
    (id,) = (one["id"] for one in tokenizer["added_tokens"] if one["content"] == end)
    text, other = ({"Sequence": {"id": one, "type_id": 0}} for one in "AB")
    behind = {"SpecialToken": {"id": end, "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing", "single": [text, behind], "pair": [text, other, behind],
        "special_tokens": {end: {"id": end, "ids": [id], "tokens": [end]}},
    }  # fmt: skip
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))


def drawn(config: Config) -> dict[str, np.ndarray[Any, Any]]:
    """Random weights by name, the same ones for the same configuration. All are multiples of
    a 64th, which f16 has, and which take little room where they are kept."""
    rng, weights = np.random.default_rng(7), {}
    for name, shape in tensors_of(spec_of(config)):
        values = rng.standard_normal(shape, dtype=np.float32)
        if len(shape) == 1 and "bias" not in name:  # a norm
            values = 1 + 0.2 * values
        else:
            outer = any(part in name for part in ("embed", "lm_head", "wte", "wpe", "score.w"))
            values = (0.5 if outer else 0.2) * values
        weights[name] = (np.round(64 * values) / 64).astype(np.float32)
    return weights
