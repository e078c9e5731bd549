"""What a router is told when it starts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RouterConfig:
    model_name: str
    checkpoint: str
    """Directory with the tokenizer and the chat template."""
    token: str
    """The cluster's secret, shown to workers."""
    policy: str = "least-load"
    max_body_bytes: int = 8 << 20
    max_inflight: int = 2048
    """Requests in this router at once; more get 429."""
    request_timeout_s: float = 600.0
    """From admission to the last byte that the client has taken."""
    body_timeout_s: float = 60.0
    """In which a body must have come."""
    host: str = "127.0.0.1"
    grpc_port: int = 9000
    enable_debug: bool = False
