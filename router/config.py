"""What a router is told when it starts."""

from dataclasses import dataclass

from raylax.router.access.keys import Key


@dataclass(frozen=True, slots=True)
class RouterConfig:
    model_name: str
    checkpoint: str
    """Directory with the tokenizer and the chat template."""
    token: str
    """The cluster's secret, shown to workers."""
    model_id: str = ""
    """Of its workers. Others, which are there while one model replaces another, are not used."""
    policy: str = "expected-latency"
    max_body_bytes: int = 8 << 20
    max_inflight: int = 2048
    """Requests in this router at once; more get 429."""
    request_timeout_s: float = 600.0
    """From admission to the last byte that the client has taken."""
    body_timeout_s: float = 60.0
    """In which a body must have come."""
    max_wait_s: float = 60.0
    """Expected until its first token; a request that would wait longer gets 429."""
    worker_patience_s: float = 30.0
    """How long a request may be without a worker: they come back."""
    worker_silence_s: float = 2.0
    """After which a worker that says nothing counts as lost."""
    hedge_share: float = 0.0
    """Of the requests that may have a second worker when their first token is late."""
    resume_ttl_s: float = 60.0
    """How long an answer may outlive its client at most."""
    host: str = "127.0.0.1"
    grpc_port: int = 9000
    enable_debug: bool = False
    routers: int = 1
    """Replicas, each of which grants its part of every limit of a key."""
    keys: tuple[Key, ...] = ()
    """Who may ask; without any, everybody who reaches it."""
    cors_origins: tuple[str, ...] = ()
    """Pages of these origins may ask from a browser; "*": all."""
    tls_cert: str | None = None
    """A file of certificates in PEM, ours first, and its key: gRPC is then encrypted."""
    tls_key: str | None = None
