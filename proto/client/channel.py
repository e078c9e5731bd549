"""How both clients reach a router."""

ADDRESS = "127.0.0.1:9000"
LARGEST_REPLY_BYTES = 256 << 20
"""All vectors of an embedding call come in one message."""


def channel_options() -> list[tuple[str, int]]:
    return [("grpc.max_receive_message_length", LARGEST_REPLY_BYTES)]


def metadata(api_key: str | None) -> tuple[tuple[str, str], ...]:
    """What shows the key with each call; nothing without one."""
    return () if api_key is None else (("authorization", f"Bearer {api_key}"),)
