"""Which scheme a checkpoint's config names."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from raylax.kernels.checkpoints.quantised.awq import AWQ
from raylax.kernels.checkpoints.quantised.base import Composed, Part, Parts, Scheme, composed
from raylax.kernels.checkpoints.quantised.bitsandbytes import EIGHT_BITS, FOUR_BITS
from raylax.kernels.checkpoints.quantised.compressed import BYTES, PACKED
from raylax.kernels.checkpoints.quantised.fp8 import BLOCKS, SCALED
from raylax.kernels.checkpoints.quantised.gptq import GPTQ
from raylax.kernels.checkpoints.quantised.microscaled import (
    MXFP4,
    MXFP4_BLOCKS,
    MXFP8,
    NVFP4,
    of_weights,
)
from raylax.kernels.errors import CheckpointError

T = TypeVar("T")


def of_either(ints: Callable[..., T], floats: Callable[..., T]) -> Callable[..., T]:
    """What is to be done with weights of integers, or else of floats."""

    def either(parts: Parts, *more: Any) -> T:
        return (ints if parts["weight"].precision == "I8" else floats)(parts, *more)

    return either


NAIVE = Scheme(
    BYTES.ends,
    BYTES.others,
    of_either(BYTES.shape, SCALED.shape),
    of_either(BYTES.values, SCALED.values),
    "compressed-tensors",
    of_either(BYTES.kind, SCALED.kind),
    BYTES.groups,
)
"""Either, as each weight has it."""
METHODS = {
    "awq": (AWQ,),
    "gptq": (GPTQ,),
    "fp8": (BLOCKS, SCALED),
    "bitsandbytes": (*FOUR_BITS, EIGHT_BITS),
    "mxfp4": (MXFP4_BLOCKS,),
}
"""By `quant_method`: a checkpoint may have weights of each."""
FORMATS = {
    "pack-quantized": (PACKED,),
    "int-quantized": (BYTES,),
    "float-quantized": (SCALED,),
    "naive-quantized": (NAIVE,),
    "mxfp4-pack-quantized": (MXFP4,),
    "mxfp8-quantized": (MXFP8,),
    "nvfp4-pack-quantized": (NVFP4,),
    "dense": (),
}
"""Of compressed-tensors, by `format`."""


def whole_weights(
    config: Mapping[str, Any], found: Mapping[str, Part], where: Path
) -> Mapping[str, Part | Composed]:
    """A checkpoint's tensors, with weights in the place of their parts. Raises CheckpointError for
    a scheme that is not known, and for parts that do not fit together."""
    settings = config.get("quantization_config")
    if not settings:
        return found
    if not isinstance(settings, dict):
        raise CheckpointError(f"{where}: quantization_config must be an object")
    schemes = schemes_of(settings, where)
    out: Mapping[str, Any] = of_weights(found) if MXFP4_BLOCKS in schemes else found
    for scheme in schemes:
        out = composed(out, scheme, settings, where)
    return out


def schemes_of(settings: Mapping[str, Any], where: Path) -> tuple[Scheme, ...]:
    """Raises CheckpointError, with those that are known."""
    method, form = settings.get("quant_method"), settings.get("format")
    if method == "compressed-tensors" and isinstance(form, str) and form in FORMATS:
        return FORMATS[form]
    if isinstance(method, str) and method in METHODS:
        return METHODS[method]
    known = ", ".join((*METHODS, *(f"compressed-tensors {name}" for name in FORMATS)))
    named = f"{method} {form}" if method == "compressed-tensors" else f"{method}"
    raise CheckpointError(f"{where}: quantised by {named}, which is not read; read are {known}")
