"""Kinds of weights that compressed-tensors writes, of which `quantised.py` makes one each."""

from typing import Any

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "w4_channel": ("pack-quantized", {"num_bits": 4, "strategy": "channel"}),
    "w4_group": ("pack-quantized", {"num_bits": 4, "strategy": "group", "group_size": 32}),
    "w4_group_zero": (
        "pack-quantized",
        {"num_bits": 4, "strategy": "group", "group_size": 32, "symmetric": False},
    ),
    "w8_channel_zero": (
        "pack-quantized", {"num_bits": 8, "strategy": "channel", "symmetric": False}
    ),
    "w3_group": ("pack-quantized", {"num_bits": 3, "strategy": "group", "group_size": 32}),
    "w8a8_channel": ("int-quantized", {"num_bits": 8, "strategy": "channel"}),
    "w8a8_tensor_zero": (
        "int-quantized", {"num_bits": 8, "strategy": "tensor", "symmetric": False}
    ),
    "fp8_tensor": ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "tensor"}),
    "fp8_channel": ("float-quantized", {"num_bits": 8, "type": "float", "strategy": "channel"}),
    "fp8_block": (
        "float-quantized",
        {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [16, 48]},
    ),
    "naive_int": ("naive-quantized", {"num_bits": 8, "strategy": "channel"}),
    "mxfp4": (
        "mxfp4-pack-quantized",
        {"num_bits": 4, "type": "float", "strategy": "group", "group_size": 32},
    ),
    "mxfp8": (
        "mxfp8-quantized",
        {"num_bits": 8, "type": "float", "strategy": "group", "group_size": 32},
    ),
    "nvfp4": (
        "nvfp4-pack-quantized",
        {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16},
    ),
}  # fmt: skip
"""Of compressed-tensors: format, and what is said of the weights."""
