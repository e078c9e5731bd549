"""What a model has on a device beside its inputs and values: where each of its weights lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from raylax.kernels.cuda.variants.products import Matrix

Address = int


@dataclass(frozen=True, slots=True)
class DeviceMatrix:
    """Where it lies, and how; or several of one shape, one behind the other."""

    format: str
    """As in the names of its kernels, for instance `q4_g32_bf16`."""
    shape: Matrix
    arrays: tuple[Address, ...]
    """Of the format's arrays, in the order in which kernels are given them."""
    bias: Address = 0
    """Of the features; 0: there is none."""
    zero: tuple[int, ...] = ()
    """Of packed formats, the digit that is 0."""


class DeviceNorm(NamedTuple):
    """A norm of the residual stream. Of what it has not, or where there is none, the address is
    0."""

    weight: Address = 0
    shift: Address = 0


NO_NORM = DeviceNorm()


class DeviceMlp(NamedTuple):
    """An MLP: the matrix into its units, gates before what they gate, and the one out of them."""

    into: DeviceMatrix
    out: DeviceMatrix


@dataclass(frozen=True, slots=True)
class DeviceExperts:
    """A rank's experts of a layer, and what chooses among all of them."""

    router: DeviceMatrix
    """Behind the experts' rows, the gate of the MLP beside them, if that has one."""
    correction: Address
    """What is added to scores where experts are chosen; 0: nothing."""
    into: DeviceMatrix
    """Of all these experts, as an MLP has it; `out` as well."""
    out: DeviceMatrix
    first: int
    """The first of them."""
    count: int


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of a layer, and its keys and values, on the device."""

    norm_1: DeviceNorm
    qkv: DeviceMatrix
    o: DeviceMatrix
    norm_2: DeviceNorm
    mlp: DeviceMlp | None
    """None: there are experts, and nothing beside them."""
    experts: DeviceExperts | None
    pages: Address
    scales: Address
    """Of pages that are bytes; 0: they are none."""
    norm_qk: Address = 0
    sinks: Address = 0
    """Scores without a value, of each head; 0: it has none."""
    norm_o: DeviceNorm = NO_NORM
    """Behind what attention comes to; `norm_down`: behind what the MLP does."""
    norm_down: DeviceNorm = NO_NORM
    local: bool = False
    """Whether it is one of those that attend otherwise."""


@dataclass(frozen=True, slots=True)
class Weights:
    """All of them."""

    embed: Address
    layers: Sequence[Layer]
    norm_f: DeviceNorm
    head: DeviceMatrix
    rotations: Sequence[tuple[Address, Address]]
    """Cosines and sines, and behind them those of local layers, if there are any."""
    places: Address = 0
    """Embeddings of positions; 0: there are none."""
