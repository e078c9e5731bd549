"""Packages as MLC-LLM converts them, of the tiny checkpoints."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from raylax.kernels.bf16 import to_bf16
from tests.support.checkpoints import config_of, weights_of, write_tokenizer
from tests.support.scripted import write_scripted

TEMPLATE: dict[str, Any] = {
    "name": "chatml",
    "system_template": "<|im_start|>system\n{system_message}<|im_end|>\n",
    "system_message": "A conversation.",
    "roles": {"user": "<|im_start|>user", "assistant": "<|im_start|>assistant"},
    "role_templates": {"user": "{user_message}", "assistant": "{assistant_message}"},
    "seps": ["<|im_end|>\n"],
    "role_content_sep": "\n",
    "role_empty_sep": "\n",
    "stop_str": ["<|im_end|>"],
    "stop_token_ids": [98],
}
Arrays = dict[str, np.ndarray]


def packed(weight: np.ndarray, bits: int, group: int, inputs_first: bool) -> Arrays:
    """Digits word by word, and scales."""
    rows, depth = weight.shape
    groups, per, most = -(-depth // group), 32 // bits, (1 << bits - 1) - 1
    wide = np.zeros((rows, groups * group), np.float32)
    wide[:, :depth] = weight
    scales = (np.abs(wide.reshape(rows, groups, group)).max(-1) / most).astype(np.float16)
    divided = wide.reshape(rows, groups, group) / scales.astype(np.float32)[..., None]
    codes = np.clip(np.rint(divided) + most, 0, 2 * most).astype(np.uint32).reshape(rows, -1)
    words = np.zeros((rows, codes.shape[1] // per), np.uint32)
    for at in range(codes.shape[1]):
        words[:, at // per] |= codes[:, at] << np.uint32(bits * (at % per))
    if inputs_first:
        words, scales = words.T.copy(), scales.T.copy()
    return {"q_weight": words, "q_scale": scales}


def fused(given: Arrays) -> Arrays:
    """The weights by MLC's names."""
    weights, out = dict(given), {}
    for name in list(weights):
        if ".q_proj." in name:
            parts = [weights.pop(name.replace("q_proj", f"{one}_proj")) for one in "qkv"]
            out[name.replace("q_proj", "qkv_proj")] = np.concatenate(parts)
        elif ".gate_proj." in name:
            parts = [weights.pop(name.replace("gate", one)) for one in ("gate", "up")]
            out[name.replace("gate_proj", "gate_up_proj")] = np.concatenate(parts)
    return out | weights


def write_scripted_package(path: Path, pieces: Sequence[str], **template: Any) -> Path:
    """A package that says one text: see `scripted.py`. `template`: fields of its conversation's."""
    scripted = write_scripted(path / "scripted", pieces)
    package = write_package(
        path / "package", "q0f16", None, load_file(scripted / "model.safetensors")
    )
    shutil.copy(scripted / "tokenizer.json", package / "tokenizer.json")
    file = package / "mlc-chat-config.json"
    told = json.loads(file.read_text()) | {"conv_template": TEMPLATE | template}
    file.write_text(json.dumps(told))
    return package


def write_package(
    path: Path,
    quantization: str,
    how: tuple[int, int, bool] | None,
    weights: Arrays | None = None,
    variant: str = "llama",
) -> Path:
    """`how`: bits, group, whether inputs come first; None: as it is. `weights`: by Hugging Face's
    names, where they are not those of the variant."""
    config = config_of(variant)
    arrays = fused(weights or weights_of(config))
    sizes = {name: value for name, value in config.items() if name != "rope_theta"}
    package = {
        "model_type": "llama", "context_window_size": 512,
        "model_config": {**sizes, "position_embedding_base": config["rope_theta"]},
    }  # fmt: skip
    return write_arrays(path, arrays, package, quantization, how)


def write_arrays(
    path: Path,
    given: Arrays,
    package: dict[str, Any],
    quantization: str,
    how: tuple[int, int, bool] | None,
) -> Path:
    """A package of these parameters, by MLC's names, with what its config says of the model."""
    path.mkdir(parents=True, exist_ok=True)
    arrays = dict[str, tuple[str, np.ndarray]]()
    for name, values in given.items():
        if how is not None and values.ndim == 3:
            each = [packed(one, *how) for one in values]
            for end in each[0]:
                module = name.removesuffix(".weight")
                arrays[f"{module}.{end}"] = "raw", np.stack([one[end] for one in each])
        elif how is not None and values.ndim == 2:
            module = name.removesuffix(".weight")
            for end, one in packed(values, *how).items():
                arrays[f"{module}.{end}"] = "raw", one
        elif quantization == "q0bf16":
            arrays[name] = "f32-to-bf16", to_bf16(values)
        else:
            arrays[name] = "raw", values.astype(np.float16)
    records, content = [], b""
    for name, (form, one) in arrays.items():
        dtype = "float32" if form != "raw" else str(one.dtype)
        records.append({"name": name, "shape": list(one.shape), "dtype": dtype, "format": form,
                        "nbytes": one.nbytes, "byteOffset": len(content)})  # fmt: skip
        content += one.tobytes()
    (path / "params_shard_0.bin").write_bytes(content)
    piece = {"dataPath": "params_shard_0.bin", "format": "raw-shard", "nbytes": len(content)}
    listed = {"metadata": {}, "records": [{**piece, "records": records}]}
    (path / "ndarray-cache.json").write_text(json.dumps(listed))
    told = {
        "version": "0.1.0", "quantization": quantization, "temperature": 0.7,
        "conv_template": TEMPLATE, "bos_token_id": 0, "eos_token_id": 1, **package,
    }  # fmt: skip
    (path / "mlc-chat-config.json").write_text(json.dumps(told))
    write_tokenizer(path)
    return path
