"""raylax.v1, the service of `proto/pb/raylax.proto`. Start at `servicer.py`."""
