"""A weight matrix on a device, and its products."""

from dataclasses import dataclass

from raylax.kernels.cuda.variants.products import Matrix

Address = int


@dataclass(frozen=True, slots=True)
class DeviceMatrix:
    """Where it lies, and how."""

    format: str
    """As in the names of its kernels, for instance `q4_g32_bf16`."""
    shape: Matrix
    arrays: tuple[Address, ...]
    """Of the format's arrays, in the order in which kernels are given them."""
    bias: Address = 0
    """Of the features; 0: there is none."""
    zero: tuple[int, ...] = ()
    """Of packed formats, the digit that is 0."""
