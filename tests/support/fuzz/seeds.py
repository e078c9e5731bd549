"""Small checkpoints of every kind that is read."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from raylax.kernels.e4m3 import to_e4m3
from tests.support.checkpoints import write_checkpoint
from tests.support.family_checkpoints import write_family
from tests.support.gguf_files import write_gguf
from tests.support.mlc_packages import write_package
from tests.support.safetensors_files import save_as
from tests.support.torch_files import write_torch_file

DOWN = "model.layers.1.mlp.down_proj"
Parts = dict[str, np.ndarray]


def plain(path: Path) -> Path:
    return write_checkpoint(path)


def sharded(path: Path) -> Path:
    return write_checkpoint(path, "llama3-untied-biased", shards=3)


def torch(path: Path) -> Path:
    write_checkpoint(path)
    write_torch_file(path / "pytorch_model.bin", load_file(path / "model.safetensors"))
    (path / "model.safetensors").unlink()
    return path


def gguf(kind: str) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        write_gguf(path, kind=kind, changed={"tokenizer.chat_template": "{{ messages }}"})
        return path / "model.gguf"

    return write


def package(path: Path) -> Path:
    return write_package(path, "q4f16_1", (4, 32, False))


def words(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return rng.integers(-(1 << 31), 1 << 31, (rows, columns)).astype(np.int32)


def awq(rows: int, depth: int, rng: np.random.Generator) -> Parts:
    return {
        "qweight": words(rng, depth, rows // 8),
        "qzeros": words(rng, depth // 32, rows // 8),
        "scales": np.full((depth // 32, rows), 0.01, np.float16),
    }


def gptq(rows: int, depth: int, rng: np.random.Generator) -> Parts:
    return {
        "qweight": words(rng, depth // 8, rows),
        "qzeros": words(rng, depth // 32, rows // 8),
        "scales": np.full((depth // 32, rows), 0.01, np.float16),
        "g_idx": (np.arange(depth) // 32).astype(np.int32),
    }


def packed(rows: int, depth: int, rng: np.random.Generator) -> Parts:
    return {
        "weight_packed": rng.integers(-99, 99, (rows, depth // 8)).astype(np.int32),
        "weight_scale": np.full((rows, depth // 32), 0.01, np.float32),
        "weight_zero_point": np.zeros((rows // 8, depth // 32), np.int32),
        "weight_shape": np.array([rows, depth], np.int64),
    }


def fp8(rows: int, depth: int, rng: np.random.Generator) -> Parts:
    codes = to_e4m3(rng.standard_normal((rows, depth), np.float32))
    return {"weight": codes, "weight_scale_inv": np.full((2, 3), 0.01, np.float32)}


def nf4(rows: int, depth: int, rng: np.random.Generator) -> Parts:
    said = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [rows, depth]}
    state = np.frombuffer(json.dumps(said).encode(), np.uint8)
    return {
        "weight": rng.integers(0, 256, (rows * depth // 2, 1)).astype(np.uint8),
        "weight.absmax": np.ones(rows * depth // 64, np.float32),
        "weight.quant_map": np.linspace(-1, 1, 16, dtype=np.float32),
        "weight.quant_state.bitsandbytes__nf4": state,
    }


def mxfp4(rows: int, depth: int, rng: np.random.Generator) -> Parts:
    return {
        "weight_packed": rng.integers(0, 256, (rows, depth // 2)).astype(np.uint8),
        "weight_scale": np.full((rows, depth // 32), 120, np.uint8),
    }


GROUP_0 = {"config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 32}}}}
QUANTISED = {
    "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": 32}),
    "gptq": (gptq, {"quant_method": "gptq", "bits": 4, "desc_act": True}),
    "packed": (
        packed,
        {"quant_method": "compressed-tensors", "format": "pack-quantized", **GROUP_0},
    ),
    "fp8": (fp8, {"quant_method": "fp8", "weight_block_size": [32, 32]}),
    "mxfp4": (
        mxfp4,
        {"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized", **GROUP_0},
    ),
    "nf4": (nf4, {"quant_method": "bitsandbytes", "load_in_4bit": True}),
}


def quantised(name: str) -> Callable[[Path], Path]:
    make, settings = QUANTISED[name]

    def write(path: Path) -> Path:
        write_checkpoint(path, quantization_config=settings)
        tensors = load_file(path / "model.safetensors")
        rows, depth = tensors.pop(f"{DOWN}.weight").shape
        parts = make(rows, depth, np.random.default_rng(3))
        tensors |= {f"{DOWN}.{end}": one for end, one in parts.items()}
        save_as(path / "model.safetensors", tensors, fp8_types(parts))
        return path

    return write


def fp8_types(parts: Parts) -> dict[str, str]:
    return {f"{DOWN}.weight": "F8_E4M3"} if "weight_scale_inv" in parts else {}


SEEDS: dict[str, Callable[[Path], Path]] = {
    "safetensors": plain,
    "sharded": sharded,
    "torch": torch,
    "gguf": gguf("F32"),
    "gguf-q4_0": gguf("Q4_0"),
    "mlc": package,
    **{name: quantised(name) for name in QUANTISED},
    "gpt-oss": lambda path: write_family(path, "gpt-oss"),
    "gpt-oss-mxfp4": lambda path: write_family(path, "gpt-oss-mxfp4"),
}
"""By name: writes one into a directory, and says what is to be opened."""
