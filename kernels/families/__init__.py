"""The model families we know, and where each weight of theirs lies in a checkpoint."""

from collections.abc import Iterator
from dataclasses import replace

from raylax.kernels.families.base import read_config
from raylax.kernels.families.known import FAMILIES
from raylax.kernels.families.nested import text_config
from raylax.kernels.families.unknown import unknown
from raylax.kernels.families.values import Config
from raylax.kernels.families.weight import Weight
from raylax.kernels.families.weight_table import weight_table
from raylax.kernels.spec import DecoderSpec


def spec_of(config: Config) -> DecoderSpec:
    """The DecoderSpec of a config.json; an unknown architecture is an error that names ours."""
    config = text_config(config)
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else "none"
    if not isinstance(first, str) or first not in FAMILIES:
        raise unknown(str(first), config)
    return read_config(FAMILIES[first], config)


def tensors_of(spec: DecoderSpec) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor that a checkpoint of such a model must hold, with its shape."""
    for weight in weights_of(spec).values():
        for layer in range(weight.times(spec.layers)):
            yield from weight.sources(layer)


def stands_beside(spec: DecoderSpec, name: str) -> bool:
    """Whether such a checkpoint may hold a tensor of this name that the model does without."""
    family = FAMILIES.get(spec.architecture)
    if family is None or not family.beside:
        return False
    return name.startswith(family.beside.format(layers=spec.layers))


def has_experts_together(spec: DecoderSpec) -> bool:
    """Whether such a checkpoint has the experts of a layer in one tensor."""
    family = FAMILIES.get(spec.architecture)
    return family is not None and family.layout.experts_together


def weights_of(spec: DecoderSpec) -> dict[str, Weight]:
    """Every weight of a step of such a model by name, and where it lies in a checkpoint."""
    if spec.fusion or spec.blocks is not None:
        return weight_table(spec)
    family = FAMILIES[spec.architecture]
    return weight_table(spec, (family.in_gguf if spec.in_gguf else None) or family.layout)


def as_in_gguf(spec: DecoderSpec) -> DecoderSpec:
    """The spec of a model whose weights lie as llama.cpp's files have them."""
    return replace(spec, in_gguf=FAMILIES[spec.architecture].in_gguf is not None)
