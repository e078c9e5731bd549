"""When the next worker of a model is expected: the autoscaler writes it into Ray's store, routers
read it there."""

NAMESPACE = "raylax"


def key_of(model: str) -> str:
    """Where it stands, by the model's served name."""
    return f"next_ready/{model}"


def encode(at_s: float | None) -> bytes:
    """Seconds of the calendar; None: no worker is ordered."""
    return b"" if at_s is None else f"{at_s:.3f}".encode()


def decode(value: bytes | None) -> float | None:
    """Of what stands there, if anything does."""
    return float(value) if value else None
