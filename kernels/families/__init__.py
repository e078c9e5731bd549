"""The model families we know, and where each weight of theirs lies in a checkpoint."""

from collections.abc import Iterator

from raylax.kernels.errors import CheckpointError
from raylax.kernels.families.base import Config, read_config
from raylax.kernels.families.llama import LLAMA
from raylax.kernels.families.mimo import MIMO
from raylax.kernels.families.mistral import MISTRAL
from raylax.kernels.families.qwen2 import QWEN2
from raylax.kernels.families.weight_table import Weight, weight_table
from raylax.kernels.spec import DecoderSpec

FAMILIES = {family.architecture: family for family in (LLAMA, MIMO, MISTRAL, QWEN2)}


def spec_of(config: Config) -> DecoderSpec:
    """The DecoderSpec of a config.json; an unknown architecture is an error that names ours."""
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else "none"
    if not isinstance(first, str) or first not in FAMILIES:
        raise CheckpointError(
            f"config.json: architecture {first} is not supported; supported are "
            + ", ".join(sorted(FAMILIES))
        )
    return read_config(FAMILIES[first], config)


def tensors_of(spec: DecoderSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor that a checkpoint of such a model must hold, with its shape."""
    for weight in weights_of(spec).values():
        for layer in range(spec.layers if weight.layered else 1):
            yield from weight.sources(layer)


def stands_beside(spec: DecoderSpec, name: str) -> bool:
    """Whether such a checkpoint may hold a tensor of this name that the model does without."""
    family = FAMILIES.get(spec.architecture)
    return family is not None and bool(family.beside) and name.startswith(family.beside)


def weights_of(spec: DecoderSpec) -> dict[str, Weight]:
    """Every weight of a step of such a model by name, and where it lies in a checkpoint."""
    if spec.fusion or spec.blocks is not None:
        return weight_table(spec, {})
    return weight_table(spec, FAMILIES[spec.architecture].elsewhere)
