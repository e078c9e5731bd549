"""API keys: who may ask. Only hashes of them are kept, compared in constant time, never logged."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from raylax.proto.vocabulary import Priority


@dataclass(frozen=True, slots=True)
class Key:
    """The holder of an API key, and what they may use. None: as much as they like."""

    name: str
    """The tenant that its requests belong to."""
    sha256: str = field(repr=False)
    """The hash of the key, in hex."""
    admin: bool = False
    """The holder may also ask for what changes or debugs the cluster."""
    priority: Priority = Priority.NORMAL
    """The highest class that may be asked for."""
    tokens_per_minute: int | None = None
    """Tokens of prompts and answers together."""
    requests_per_minute: int | None = None
    """Each sequence of a call is one, and whatever else is asked."""
    max_concurrent: int | None = None
    """Sequences at once."""
    share: float = 1.0
    """The part of a full cluster that the holder gets, compared with the shares of others."""


def as_json(keys: Sequence[Key]) -> list[dict[str, Any]]:
    """Keys as they travel from who configures a router to it."""
    return [asdict(key) for key in keys]


def from_json(values: Sequence[dict[str, Any]]) -> tuple[Key, ...]:
    """The keys that `as_json` made this of."""
    return tuple(Key(**{**one, "priority": Priority(one["priority"])}) for one in values)


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


class Keyring:
    """The keys of a cluster. Without any it is open to everybody who can reach it."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self.replace(keys)

    def replace(self, keys: Sequence[Key]) -> None:
        """These are the keys from now on. One that is none any more lets nobody in."""
        self._keys = tuple(keys)
        self._shares = {key.name: key.share for key in keys}

    @property
    def open(self) -> bool:
        return not self._keys

    def share_of(self, tenant: str) -> float:
        """The share of a tenant; 1 of whoever has no key any more, or needs none."""
        return self._shares.get(tenant, 1.0)

    def named(self, tenant: str) -> Key | None:
        """The key of this name, if there is one now."""
        return next((key for key in self._keys if key.name == tenant), None)

    def find(self, secret: str) -> Key | None:
        """The holder of a secret, if there is one. What is compared are hashes, of which whoever
        asks chooses nothing but by trying; and all are compared in full, also after a match, so
        that the time that it takes says nothing."""
        given, found = hash_of(secret), None
        for key in self._keys:
            if hmac.compare_digest(given, key.sha256):
                found = key
        return found
