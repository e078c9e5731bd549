"""Device strings: where an engine runs."""

from raylax.worker.errors import ConfigError


def detect_device(device: str) -> str:
    """The device that a string names; ConfigError for one that this build cannot run."""
    kind, _, index = device.partition(":")
    if device == "auto" or (kind == "cpu" and index in ("", "0")):
        return "cpu"
    raise ConfigError(f"device {device!r} is not available in this version of raylax, only cpu")
