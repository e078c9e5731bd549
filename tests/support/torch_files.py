"""Files as `torch.save` writes them, without torch: modules of its name are there meanwhile."""

import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

STORAGES = {
    "float32": "FloatStorage", "float16": "HalfStorage", "uint16": "BFloat16Storage",
    "int64": "LongStorage", "bool": "BoolStorage",
}  # fmt: skip


def write_torch_file(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """These arrays by name; those of uint16 are bf16."""
    content = {f"{i}": one.tobytes() for i, one in enumerate(tensors.values())}
    keys = {id(one): f"{i}" for i, one in enumerate(tensors.values())}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled(OrderedDict(tensors), keys))
        archive.writestr("archive/byteorder", "little")
        for key, bits in content.items():
            archive.writestr(f"archive/data/{key}", bits)


def pickled(listed: Any, keys: dict[int, str]) -> bytes:
    """The notes of tensors, as torch's pickle has them."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*_: Any) -> None: ...

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = (
        "torch._utils",
        "_rebuild_tensor_v2",
    )
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]

    class Pickler(pickle.Pickler):
        def persistent_id(self, one: Any) -> Any:
            return one[1:] if isinstance(one, tuple) and one[:1] == (keys,) else None

        def reducer_override(self, one: Any) -> Any:
            if not isinstance(one, np.ndarray):
                return NotImplemented
            kind = getattr(torch, STORAGES[str(one.dtype)])
            storage = (keys, "storage", kind, keys[id(one)], "cpu", one.size)
            strides = tuple(step // one.itemsize for step in one.strides)
            return utils._rebuild_tensor_v2, (storage, 0, one.shape, strides, False, OrderedDict())

    out = BytesIO()
    with patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        Pickler(out, 2).dump(listed)
    return out.getvalue()
