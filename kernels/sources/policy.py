"""MLC_DOWNLOAD_CACHE_POLICY: what of a hub is taken from the cache, and what is downloaded."""

import os
from collections.abc import Mapping
from enum import StrEnum

from raylax.kernels.errors import CheckpointError

VARIABLE = "MLC_DOWNLOAD_CACHE_POLICY"


class Policy(StrEnum):
    """ON: what is cached and still what the hub has; the rest is downloaded. OFF: nothing from hubs
    at all. REDO: all of it is downloaded again; what was there stays until the new one is whole.
    READONLY: only what is cached, and nobody is asked."""

    ON = "ON"
    OFF = "OFF"
    REDO = "REDO"
    READONLY = "READONLY"


def policy_of(environment: Mapping[str, str] = os.environ) -> Policy:
    """Raises CheckpointError for a word that is none of them."""
    said = environment.get(VARIABLE) or Policy.ON
    try:
        return Policy(said)
    except ValueError:
        raise CheckpointError(
            f"{VARIABLE} must be {', '.join(Policy)}; found {ascii(said)}"
        ) from None
