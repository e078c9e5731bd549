"""What a gRPC server lets those have who have shown nothing yet."""

HANDSHAKE_MS = 10_000
"""For the handshakes of TLS and HTTP/2, from the moment at which a connection is made."""
IDLE_MS = 300_000
"""A connection without a call is asked to leave; clients make another one when they need it."""
SILENT_MS, ANSWER_MS = 60_000, 20_000
"""After so long without a word the other end is asked whether it is there, and has so long to
answer."""

MOST_CALLS = (1 << 31) - 1
"""HTTP/2 has no larger number for it."""


def server_options(connections: int, calls: int) -> list[tuple[str, int]]:
    """How many connections there may be; and how many calls may be under way in each, beyond which
    a client waits."""
    return [
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
        ("grpc.max_connection_idle_ms", IDLE_MS),
        ("grpc.keepalive_time_ms", SILENT_MS),
        ("grpc.keepalive_timeout_ms", ANSWER_MS),
        ("grpc.max_allowed_incoming_connections", connections),
        ("grpc.max_concurrent_streams", min(calls, MOST_CALLS)),
    ]
