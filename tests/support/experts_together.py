"""Experts as checkpoints of gpt-oss have them: those of a layer in one tensor."""

from typing import Any

import numpy as np

from raylax.kernels.families import has_experts_together
from raylax.kernels.spec import DecoderSpec

Arrays = dict[str, np.ndarray[Any, Any]]


def together(weights: Arrays, spec: DecoderSpec, in_mxfp4: bool) -> Arrays:
    """A checkpoint's tensors, where its family has them so. `in_mxfp4`: their matrices are random
    blocks instead."""
    if not has_experts_together(spec) or spec.experts is None:
        return weights
    out, rng = dict(weights), np.random.default_rng(11)
    for layer in range(spec.layers):
        prefix, count = f"model.layers.{layer}.mlp.experts", spec.experts.count
        for end in ("weight", "bias"):
            gate, up, down = (
                np.stack([out.pop(f"{prefix}.{one}.{name}_proj.{end}") for one in range(count)])
                for name in ("gate", "up", "down")
            )
            both = np.stack([gate, up], 2).reshape(count, -1, *gate.shape[2:])
            for name, values in (("gate_up_proj", both), ("down_proj", down)):
                if end == "bias":
                    out[f"{prefix}.{name}_bias"] = values
                elif in_mxfp4:
                    out |= random_blocks(f"{prefix}.{name}", values.shape, rng)
                else:
                    out[f"{prefix}.{name}"] = np.ascontiguousarray(values.swapaxes(1, 2))
    return out


def random_blocks(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Arrays:
    """Any codes, and scales that make numbers as large as weights are."""
    groups = *shape[:2], shape[2] // 32
    return {
        f"{name}_blocks": rng.integers(0, 256, (*groups, 16), np.uint8),
        f"{name}_scales": rng.integers(120, 125, groups, np.uint8),
    }
