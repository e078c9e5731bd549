"""Values of a config.json, each of the kind that it must be."""

from collections.abc import Iterator, Mapping
from typing import Any

from raylax.kernels.errors import CheckpointError

Config = Mapping[str, Any]


class Renamed(Mapping[str, Any]):
    """A config by Llama's names."""

    def __init__(self, config: Config, theirs: Mapping[str, str]) -> None:
        """`theirs`: their names by Llama's."""
        self._config, self._theirs = config, theirs

    def __getitem__(self, key: str) -> Any:
        """By Llama's name; its own is known, too."""
        for name in (self._theirs.get(key, key), key):
            if name in self._config:
                return self._config.get(name)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)


class Asked(dict[str, Any]):
    """A config that remembers which of its keys somebody looked at."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.looked_at = set[str]()

    def get(self, key: str, default: Any = None) -> Any:
        self.looked_at.add(key)
        return super().get(key, default)


LARGEST = 1e30
"""Above any number that is meant."""
MOST = 2**31 - 1
"""Of any size in a config: beyond it nothing is meant."""


def number(config: Config, key: str, default: float | None = None) -> float:
    """A positive number of the config; null is as absent. Raises CheckpointError."""
    value: Any = default if config.get(key) is None else config[key]
    if type(value) not in (int, float) or not 0 < value < LARGEST:
        raise CheckpointError(f"config.json: {key} must be a positive number, found {value!r}")
    return float(value)


def cap(config: Config, key: str) -> float:
    """A positive number, or 0 where there is none. Raises CheckpointError."""
    return 0.0 if config.get(key) is None else number(config, key)


def count(config: Config, key: str, default: int | None = None) -> int:
    """A positive integer of the config; null is as absent. Raises CheckpointError."""
    value: Any = default if config.get(key) is None else config[key]
    if type(value) is not int or not 0 < value <= MOST:
        raise CheckpointError(
            f"config.json: {key} must be a positive integer, at most {MOST}, found {value!r}"
        )
    return value


def whole(config: Config, key: str, default: int) -> int:
    """0 or a positive integer of the config; null is as absent. Raises CheckpointError."""
    return 0 if type(value := config.get(key)) is int and not value else count(config, key, default)


def switch(config: Config, key: str, default: bool = False) -> bool:
    """True or false of the config; null is as absent. Raises CheckpointError."""
    value = default if config.get(key) is None else config[key]
    if type(value) is not bool:
        raise CheckpointError(f"config.json: {key} must be true or false, found {value!r}")
    return value
