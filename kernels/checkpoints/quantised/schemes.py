"""Which scheme a checkpoint's config names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raylax.kernels.checkpoints.quantised.awq import AWQ
from raylax.kernels.checkpoints.quantised.base import Composed, Part, Scheme, composed
from raylax.kernels.checkpoints.quantised.bitsandbytes import EIGHT_BITS, FOUR_BITS
from raylax.kernels.checkpoints.quantised.compressed import BYTES, PACKED
from raylax.kernels.checkpoints.quantised.fp8 import BLOCKS, SCALED
from raylax.kernels.checkpoints.quantised.gptq import GPTQ
from raylax.kernels.errors import CheckpointError

METHODS = {
    "awq": (AWQ,),
    "gptq": (GPTQ,),
    "fp8": (BLOCKS, SCALED),
    "bitsandbytes": (*FOUR_BITS, EIGHT_BITS),
}
"""By `quant_method`: a checkpoint may have weights of each."""
FORMATS = {
    "pack-quantized": (PACKED,),
    "int-quantized": (BYTES,),
    "float-quantized": (SCALED,),
    "naive-quantized": (SCALED,),
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
    out: Mapping[str, Any] = found
    for scheme in schemes_of(settings, where):
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
