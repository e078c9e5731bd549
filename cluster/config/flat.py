"""A configuration as Metrics is told it, which says what of it was changed: no key's secret."""

from collections.abc import Iterator, Mapping
from typing import Any

from raylax.cluster.config.schema import ClusterConfig

SHOWN_DIGITS = 8
"""Of the hash of a key: whether it is another one, and no more than that."""


def settings_of(config: ClusterConfig) -> dict[str, Any]:
    """All settings by name, those of sections as section.key, of API keys as keys.NAME.key."""
    values = config.model_dump(mode="json", exclude={"keys"})
    keys = {
        entry.name: {**entry.model_dump(mode="json"), "sha256": entry.sha256[:SHOWN_DIGITS]}
        for entry in config.keys
    }
    return dict(flat({**values, "keys": keys}))


def flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """What is in sections, by names with dots."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value
