"""Writes what llm-compressor's and bitsandbytes' own code makes of a matrix, and what they say it
is: quantised.safetensors, quantised.npz.

    python -m tests.goldens.quantised   # with torch, compressed-tensors, bitsandbytes, transformers
"""

from pathlib import Path
from typing import Any

import bitsandbytes.functional as bnb
import numpy as np
import torch
from compressed_tensors.compressors.base import BaseCompressor
from compressed_tensors.compressors.nvfp4.helpers import unpack_fp4_from_uint8
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.lifecycle.forward import dequantize
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from tests.goldens.compressed_formats import FORMATS

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


def of_llm_compressor(weight: torch.Tensor, form: str, said: dict[str, Any]) -> Made:
    """As its own compressor writes a matrix, and reads it."""
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**said))
    args = scheme.weights
    low, high = extent(weight, args, torch.amin), extent(weight, args, torch.amax)
    most = {"int": 2 ** (args.num_bits - 1) - 1, "float": 6 if args.num_bits == 4 else 448}[
        args.type
    ]
    state = {"weight": weight}
    if args.symmetric:
        scale = torch.maximum(low.abs(), high) / most
    else:
        scale = (high.clamp(min=0) - low.clamp(max=0)) / (2**args.num_bits - 1)
        zero = (-(most + 1) - (low.clamp(max=0) / scale).round()).clamp(-most - 1, most)
        state["weight_zero_point"] = zero.to(torch.int8)
    if form.startswith("mx"):
        scale = 2.0 ** torch.ceil(torch.log2(scale))
    if form.startswith("nv"):
        state["weight_global_scale"] = (448 / scale.max()).reshape(1)
        scale = (scale * state["weight_global_scale"]).to(torch.float8_e4m3fn).float()
    compressor = BaseCompressor.get_value_from_registry(form)
    parts = compressor.compress(state | {"weight_scale": scale}, scheme)
    if form.startswith("nv"):  # which it would read as bf16
        codes = unpack_fp4_from_uint8(parts["weight_packed"], ROWS, DEPTH, torch.float32)
        whole = {
            "scale": parts["weight_scale"].float(),
            "global_scale": parts["weight_global_scale"],
        }
        return parts, dequantize(codes, **whole, args=args, dtype=torch.float32)
    return parts, compressor.decompress(parts, scheme)["weight"]


def extent(weight: torch.Tensor, args: QuantizationArgs, of: Any) -> torch.Tensor:
    """The least or largest of what shares a scale."""
    if args.strategy == "tensor":
        return of(weight).reshape(1)
    if args.strategy == "channel":
        return of(weight, -1, keepdim=True)
    if args.strategy == "block":
        high, wide = args.block_structure
        more = -ROWS % high, -DEPTH % wide
        whole = torch.nn.functional.pad(weight, (0, more[1], 0, more[0]))
        return of(whole.unflatten(0, (-1, high)).unflatten(-1, (-1, wide)), (1, 3))
    return of(weight.unflatten(-1, (-1, args.group_size)), -1)


def blocks_and_scales(weight: torch.Tensor) -> Made:
    """As gpt-oss has MXFP4, and transformers reads it: experts, inputs last."""
    rng = torch.Generator().manual_seed(5)
    blocks = torch.randint(0, 256, (1, ROWS, DEPTH // 32, 16), generator=rng, dtype=torch.uint8)
    scales = torch.randint(116, 130, (1, ROWS, DEPTH // 32), generator=rng, dtype=torch.uint8)
    means = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32)
    return {"weight_blocks": blocks[0], "weight_scales": scales[0]}, means[0].T


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
        "gpt_oss": blocks_and_scales(weight),
        **{name: of_llm_compressor(weight, *how) for name, how in FORMATS.items()},
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
