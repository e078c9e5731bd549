"""Where the memory of a tensor is, by DLPack: of TVM, torch, numpy or any other library."""

import ctypes
import math
from dataclasses import dataclass
from typing import Any, Protocol

NAME = b"dltensor"
pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
pointer_in.argtypes, pointer_in.restype = [ctypes.py_object, ctypes.c_char_p], ctypes.c_void_p


class Tensor(Protocol):
    """A tensor of any library that speaks DLPack."""

    def __dlpack__(self) -> Any: ...


class Raw(ctypes.Structure):
    """DLPack's DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


@dataclass(frozen=True, slots=True)
class TensorMemory:
    """Where a tensor's memory is, and what it holds: valid as long as the tensor lives."""

    address: int
    count: int
    kind: tuple[int, int]
    """DLPack's type code, and bits: (2, 32) is float32."""
    device: tuple[int, int]
    """DLPack's device type, and index: (2, 0) is the first GPU."""

    @property
    def nbytes(self) -> int:
        return self.count * self.kind[1] // 8


def memory_of(tensor: Tensor) -> TensorMemory:
    """Where a tensor lies. Raises ValueError when it is not contiguous."""
    capsule = tensor.__dlpack__()
    raw = Raw.from_address(pointer_in(capsule, NAME))
    shape = raw.shape[: raw.ndim]
    if raw.strides and not is_contiguous(shape, raw.strides[: raw.ndim]):
        raise ValueError(f"ranks exchange contiguous tensors, found {raw.strides[: raw.ndim]}")
    return TensorMemory(
        (raw.data or 0) + raw.byte_offset,
        math.prod(shape) * raw.lanes,
        (raw.code, raw.bits),
        (raw.device_type, raw.device),
    )


def is_contiguous(shape: list[int], strides: list[int]) -> bool:
    """Whether elements of this shape, so many apart, lie one behind the other."""
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != expected:
            return False
        expected *= size
    return True
