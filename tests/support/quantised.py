"""Checkpoints that somebody has quantised: every matrix but the embedding, by plain rounding."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from tests.support.checkpoints import write_checkpoint


def write_quantised(path: Path, variant: str = "llama", zeros: bool = False, **sizes: int) -> Path:
    """One of `checkpoints.VARIANTS`, in compressed-tensors' int8: a scale for each row, and with
    `zeros` a zero."""
    write_checkpoint(path, variant, **sizes)
    file = path / "model.safetensors"
    tensors = load_file(file)
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        module = name.removesuffix(".weight")
        values = tensors.pop(name).astype(np.float32)
        low = values.min(1, keepdims=True) if zeros else -np.abs(values).max(1, keepdims=True)
        scale = (np.abs(values).max(1, keepdims=True) - low) / np.float32(254)
        zero = np.rint(-low / scale) - 127 if zeros else np.zeros_like(scale)
        tensors[name] = np.clip(np.rint(values / scale) + zero, -127, 127).astype(np.int8)
        tensors[f"{module}.weight_scale"] = scale
        if zeros:
            tensors[f"{module}.weight_zero_point"] = zero.astype(np.int8)
    save_file(tensors, file)
    config = json.loads((path / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
    }
    (path / "config.json").write_text(json.dumps(config))
    return path
