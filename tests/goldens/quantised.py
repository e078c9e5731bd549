"""Writes what llm-compressor's and bitsandbytes' own code makes of a matrix, and what they say it
is: quantised.safetensors, quantised.npz.

    python tests/goldens/quantised.py   # with torch, compressed-tensors and bitsandbytes
"""

from pathlib import Path

import bitsandbytes.functional as bnb
import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from safetensors.torch import save_file

HERE = Path(__file__).parent
ROWS, DEPTH, GROUP = 24, 128, 32
Made = tuple[dict[str, torch.Tensor], torch.Tensor]


def packed(weight: torch.Tensor, bits: int, symmetric: bool) -> Made:
    """As compressed-tensors packs groups; and what that stands for."""
    groups = weight.reshape(ROWS, -1, GROUP)
    most = 2 ** (bits - 1) - 1
    if symmetric:
        scale = groups.abs().amax(-1) / most
        zero = torch.zeros_like(scale, dtype=torch.int8)
    else:
        low, high = groups.amin(-1), groups.amax(-1)
        scale = (high - low) / (2**bits - 1)
        zero = (-(most + 1) - (low / scale).round()).clamp(-most - 1, most).to(torch.int8)
    numbers = (groups / scale[..., None] + zero[..., None]).round().clamp(-most - 1, most)
    means = (numbers - zero[..., None]) * scale[..., None]
    parts = {
        "weight_packed": pack_to_int32(numbers.reshape(ROWS, DEPTH).to(torch.int8), bits),
        "weight_scale": scale,
        "weight_shape": torch.tensor([ROWS, DEPTH]),
    }
    if not symmetric:
        parts["weight_zero_point"] = pack_to_int32(zero, bits, packed_dim=0).contiguous()
    return parts, means.reshape(ROWS, DEPTH)


def four_bits(weight: torch.Tensor, kind: str, nested: bool) -> Made:
    """As bitsandbytes has it in a file; and what it says that is."""
    how = {"blocksize": 64, "quant_type": kind, "compress_statistics": nested}
    codes, state = bnb.quantize_4bit(weight, **how)
    parts = {"weight": codes}
    parts |= {f"weight.{name}": one for name, one in state.as_dict(packed=True).items()}
    return parts, bnb.dequantize_4bit(codes, state)


def main() -> None:
    torch.manual_seed(3)
    weight = torch.randn(ROWS, DEPTH) * 0.05
    made = {
        "packed4": packed(weight, 4, True),
        "packed4_zero": packed(weight, 4, False),
        "packed8": packed(weight, 8, True),
        "nf4": four_bits(weight, "nf4", False),
        "nf4_nested": four_bits(weight, "nf4", True),
        "fp4": four_bits(weight, "fp4", False),
    }
    tensors = {
        f"{name}.{end}": one.contiguous()
        for name, (parts, _) in made.items()
        for end, one in parts.items()
    }
    save_file(tensors, HERE / "quantised.safetensors")
    means = {name: one.float().numpy() for name, (_, one) in made.items()}
    np.savez_compressed(HERE / "quantised.npz", **means)


if __name__ == "__main__":
    main()
