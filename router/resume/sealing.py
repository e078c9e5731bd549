"""Objects of `raylax.proto` as bytes, to be made again by another router of the same model.

What every router has of a model, such as its tokenizer, is not written but named. Only classes of
`raylax.proto` and plain containers come back: the bytes lie in a file, and are not to run anything.
"""

import io
import pickle
from collections.abc import Mapping
from typing import Any

PROTO = "raylax.proto."
CONTAINERS = {
    ("builtins", "set"),
    ("builtins", "frozenset"),
    ("builtins", "bytearray"),
    ("array", "array"),
    ("array", "_array_reconstructor"),
    ("collections", "deque"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
}
Shared = Mapping[str, object]
"""What every router has, by name."""


class Unsealable(Exception):
    """Bytes that hold something else than what was sealed."""


class Sealer(pickle.Pickler):
    """Writes the names of what is shared."""

    def __init__(self, file: io.BytesIO, shared: Shared) -> None:
        super().__init__(file, protocol=5)
        self._names = {id(value): name for name, value in shared.items()}

    def persistent_id(self, obj: object) -> str | None:
        return self._names.get(id(obj))


class Unsealer(pickle.Unpickler):
    """Puts in what is shared here."""

    def __init__(self, file: io.BytesIO, shared: Shared) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: str) -> object:
        return self._shared[pid]

    def find_class(self, module: str, name: str) -> Any:
        if not module.startswith(PROTO) and (module, name) not in CONTAINERS:
            raise Unsealable(f"{module}.{name} is nothing that is sealed")
        return super().find_class(module, name)


def seal(value: object, shared: Shared) -> bytes:
    """The bytes of a value. Raises pickle.PicklingError, TypeError or AttributeError for one that
    holds what cannot be written, as a lock."""
    file = io.BytesIO()
    Sealer(file, shared).dump(value)
    return file.getvalue()


def unseal(sealed: bytes, shared: Shared) -> Any:
    """The value again. Raises Unsealable."""
    try:
        return Unsealer(io.BytesIO(sealed), shared).load()
    except Unsealable:
        raise
    except Exception as error:  # whatever broken bytes come to
        raise Unsealable(f"{type(error).__name__}: {error}") from None
