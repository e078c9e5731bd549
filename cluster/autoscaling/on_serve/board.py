"""Where decisions are kept: in Ray's own store, which outlives Metrics and Serve's controller.

Of each model the last decisions that differ from the one before, one of each minute, and the very
last one. Serve's controller writes, Metrics reads.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from raylax.proto.wire.outlook import NAMESPACE, Outlook, decode, encode, key_of
from raylax.proto.wire.outlook import PREFIX as OUTLOOK

log = logging.getLogger(__name__)
KEPT = 300
"""Decisions of a model."""
EVERY_S = 60.0
"""One is kept at least, where nothing changes."""
PREFIX = "scaling/"


class Store(Protocol):
    """Bytes by key."""

    def put(self, key: str, value: bytes) -> None: ...

    def get(self, key: str) -> bytes | None: ...

    def keys(self, prefix: str) -> list[str]: ...


class RayStore:
    """Ray's key-value store: a call to its head, well below a millisecond on one host."""

    def put(self, key: str, value: bytes) -> None:
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(key, value, overwrite=True, namespace=NAMESPACE)

    def get(self, key: str) -> bytes | None:
        from ray.experimental.internal_kv import _internal_kv_get

        value: bytes | None = _internal_kv_get(key, namespace=NAMESPACE)
        return value

    def keys(self, prefix: str) -> list[str]:
        from ray.experimental.internal_kv import _internal_kv_list

        return [key.decode() for key in _internal_kv_list(prefix, namespace=NAMESPACE)]


class Board:
    """What one model's policy writes."""

    def __init__(self, model: str, store: Store) -> None:
        self._model, self._key, self._store = model, PREFIX + model, store
        self._lines: list[str] | None = None
        self._kept: tuple[float, object] | None = None
        self._last_is_kept = True
        self._is_away = False

    def post(self, at_s: float, receipt: Mapping[str, Any], outlook: Outlook) -> None:
        """Take note of a decision, made at this second of the calendar, and of what is to be
        expected of the workers. Where the store is away, decisions do not wait for it."""
        try:
            self._store.put(key_of(self._model), encode(outlook))
            self._post(at_s, {**receipt, "next_ready_s": outlook.next_ready_s(at_s)})
            self._is_away = False
        except Exception as error:
            if not self._is_away:
                log.warning("decisions cannot be kept: %s: %s", type(error).__name__, error)
            self._is_away = True

    def _post(self, at_s: float, receipt: Mapping[str, Any]) -> None:
        if self._lines is None:
            self._lines = [json.dumps(one) for one in read(self._store, self._key)]
        mark = (receipt["choice"], receipt["reason"])
        if not self._last_is_kept:
            self._lines.pop()
        self._lines.append(json.dumps({"at_s": at_s, **receipt}))
        kept = self._kept
        self._last_is_kept = kept is None or kept[1] != mark or at_s - kept[0] >= EVERY_S
        if self._last_is_kept:
            self._kept = at_s, mark
        del self._lines[:-KEPT]
        self._store.put(self._key, f"[{','.join(self._lines)}]".encode())


def read(store: Store, key: str) -> list[dict[str, Any]]:
    """Decisions, the oldest first; none of a model of which there are none."""
    value = store.get(key)
    return list(json.loads(value)) if value else []


def outlooks(store: Store) -> dict[str, Outlook]:
    """What is to be expected of each model's workers."""
    found = {key: decode(store.get(key)) for key in sorted(store.keys(OUTLOOK))}
    return {key.removeprefix(OUTLOOK): one for key, one in found.items() if one is not None}


def decisions(store: Store) -> dict[str, list[dict[str, Any]]]:
    """Those of each model."""
    keys = sorted(store.keys(PREFIX))
    return {key.removeprefix(PREFIX): read(store, key) for key in keys}
