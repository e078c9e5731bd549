"""What the driver is told: a configuration, and who wants it."""

import os
import pwd

from pydantic import BaseModel

from raylax.cluster.config.schema import ClusterConfig


class Asked(BaseModel):
    """A line of JSON in the driver's input."""

    config: ClusterConfig
    by: str
    """In words, for who reads later what was changed."""


def user() -> str:
    """Whose process this is."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container need not know its user
        return f"user {os.getuid()}"
