"""What a launch does on the fake driver: it is checked against the machine code, then interpreted.

Checked is what would fail, or go wrong in silence, on a GPU: the number and sizes of parameters,
the threads that the code was compiled for, the shared memory that it was allowed, addresses that
are no device memory. Installed by the driver itself, in whatever process loads it (`driver.c`).
"""

import ctypes
import hashlib
import importlib
import json
import os
import struct
import traceback
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from raylax.kernels.cuda.cubins.source import module_of
from tests.support import cuda_interpreter
from tests.support.cuda_fake.elf import image_at, parameters_and_threads, sections

MOST_SHARED, STATIC_SHARED = 8, 48 << 10  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
SERIALIZATION = 6  # CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
SHARED_OPT_IN = 97  # CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
SCALARS = {"i32": "<i", "i64": "<q", "fp32": "<f"}
CUBINS, STUBBED = "RAYLAX_FAKE_CUBINS", "RAYLAX_FAKE_STUBBED"
"""Environment: directories with a `kernels.json` somewhere below; whether launches do nothing."""


class Config(ctypes.Structure):
    """CUlaunchConfig, as far as it is used."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("count", ctypes.c_uint),
    )


INT, POINTER = ctypes.c_int, ctypes.c_void_p
CALLS = {
    "load": ctypes.CFUNCTYPE(INT, INT, POINTER),
    "function": ctypes.CFUNCTYPE(INT, INT, ctypes.c_char_p),
    "attribute": ctypes.CFUNCTYPE(INT, INT, INT, INT),
    "launch": ctypes.CFUNCTYPE(INT, INT, ctypes.POINTER(Config), ctypes.POINTER(POINTER)),
    "run": ctypes.CFUNCTYPE(INT, INT),
    "allocated": ctypes.CFUNCTYPE(INT, POINTER, ctypes.c_size_t),
}


class Callbacks(ctypes.Structure):
    """`Python` of driver.c."""

    _fields_ = tuple(CALLS.items())


@dataclass(frozen=True, slots=True)
class Function:
    """A kernel of a module that was loaded."""

    name: str
    facts: dict[str, Any]
    sizes: list[int]
    threads: int


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel that was put on a stream."""

    function: Function
    grid: tuple[int, int, int]
    values: list[bytes]


class Device:
    """The part of the driver in Python. There is one in a process."""

    def __init__(self, directories: list[Path]) -> None:
        """`directories`: where cubins' facts are, so that code is known when it is loaded."""
        self._directories, self._known = directories, dict[str, dict[str, Any]]()
        self._modules = dict[int, tuple[dict[str, bytes], dict[str, Any]]]()
        self._functions, self._launches = list[Function](), list[Launch]()
        self._allowed = dict[int, int]()
        self._starts, self._sizes = list[int](), dict[int, int]()
        self.stubbed = bool(os.environ.get(STUBBED))
        self.names = list[str]()
        """Of the kernels that have run, in order."""

    def callbacks(self) -> Callbacks:
        """What the driver calls, as long as this is kept."""
        return Callbacks(*(kind(self._guarded(name)) for name, kind in CALLS.items()))

    def _guarded(self, name: str) -> Callable[..., int]:
        """A callback cannot raise: it says why on stderr, and fails."""
        function = getattr(self, name)

        def call(*arguments: Any) -> int:
            try:
                return function(*arguments) or 0
            except Exception:
                traceback.print_exc()
                return 0 if name in ("function", "launch") else 719

        return call

    def load(self, module: int, start: int) -> None:
        image = image_at(start)
        self._modules[module] = sections(image), self._facts(hashlib.sha256(image).hexdigest())

    def _facts(self, digest: str) -> dict[str, Any]:
        if digest not in self._known:
            for directory in self._directories:
                for path in directory.rglob("kernels.json"):
                    for facts in json.loads(path.read_text())["kernels"].values():
                        self._known[facts["sha256"]] = facts
        return self._known[digest]

    def function(self, module: int, name: bytes) -> int:
        found, facts = self._modules[module]
        if (info := found.get(f".nv.info.{name.decode()}")) is None:
            return 0
        self._functions.append(Function(name.decode(), facts, *parameters_and_threads(info)))
        return len(self._functions)

    def attribute(self, function: int, attribute: int, value: int) -> int:
        if attribute == MOST_SHARED:
            most = ctypes.c_int()
            ctypes.CDLL("libcuda.so.1").cuDeviceGetAttribute(ctypes.byref(most), SHARED_OPT_IN, 0)
            if value > most.value:
                return 1
            self._allowed[function] = value
        return 0

    def allocated(self, start: int, size: int) -> None:
        first, end = bisect_left(self._starts, start), bisect_left(self._starts, start + size)
        for gone in self._starts[first:end]:  # was freed, and lay there before
            del self._sizes[gone]
        self._starts[first:end] = [start]
        self._sizes[start] = size

    def launch(self, handle: int, config: Any, parameters: Any) -> int:
        function, told = self._functions[handle - 1], config.contents
        name, facts = function.name, function.facts
        threads = told.block[0] * told.block[1] * told.block[2]
        assert threads == function.threads, f"{name}: {threads} threads, not {function.threads}"
        allowed = max(STATIC_SHARED, self._allowed.get(handle, 0))
        assert told.shared == facts["shared"], f"{name}: {told.shared} bytes of shared memory"
        assert told.shared <= allowed, f"{name}: {told.shared} bytes were not allowed"
        assert min(told.grid) > 0, f"{name}: a grid of {list(told.grid)}"
        assert len(function.sizes) == len(facts["types"]), f"{name}: parameters"
        values = [ctypes.string_at(parameters[i], size) for i, size in enumerate(function.sizes)]
        overlapped = programmatic(told)
        assert overlapped == facts["overlapped"], f"{name}: overlapped {overlapped}"
        self._launches.append(Launch(function, tuple(told.grid), values))
        return len(self._launches)

    def run(self, launch: int) -> None:
        one = self._launches[launch - 1]
        facts = one.function.facts
        self.names.append(one.function.name)
        if self.stubbed:
            return
        types = zip(facts["names"], facts["types"], one.values, strict=False)
        arguments = {name: self._argument(kind, value) for name, kind, value in types}
        source = importlib.import_module(module_of(facts["kernel"]))
        kernel = getattr(source, facts["kernel"].partition(":")[2])
        cuda_interpreter.run(kernel, one.grid, arguments | facts["constants"])

    def _argument(self, kind: str, value: bytes) -> Any:
        if kind in SCALARS:
            return cuda_interpreter.scalar(struct.unpack(SCALARS[kind], value)[0], kind)
        (address,) = struct.unpack("<Q", value)
        if address:
            start = self._starts[bisect_right(self._starts, address) - 1]
            assert start <= address < start + self._sizes[start], f"{address:x} is nobody's memory"
        return cuda_interpreter.pointer(address, kind.removeprefix("*"))


def programmatic(config: Config) -> bool:
    """Whether a launch need not wait for the one ahead of it (CUlaunchAttribute: an id, 4 bytes of
    padding, 64 bytes of value)."""
    whole = ctypes.string_at(config.attributes, 72 * config.count) if config.count else b""
    found = {one[0]: one[1] for one in struct.iter_unpack("<i4xi60x", whole)}
    return bool(found.get(SERIALIZATION, 0))


@cache
def installed() -> tuple[Device, Callbacks]:
    """The device of this process, which becomes what the driver calls."""
    device = Device([Path(one) for one in os.environ.get(CUBINS, "").split(":") if one])
    callbacks = device.callbacks()
    ctypes.CDLL("libcuda.so.1").fake_install(ctypes.byref(callbacks))
    return device, callbacks
