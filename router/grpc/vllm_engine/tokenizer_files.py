"""A model's text files in pieces, so that a gateway need not have the checkpoint."""

from collections.abc import Iterator
from hashlib import sha256

from raylax.proto.pb import common_pb2

CHUNK_BYTES = 1 << 20


def chunks(archive: bytes) -> Iterator[common_pb2.GetTokenizerChunk]:
    """The archive in messages; the last one has the hash of all of it."""
    view = memoryview(archive)
    for begin in range(0, len(archive), CHUNK_BYTES):
        end = begin + CHUNK_BYTES
        last = sha256(archive).hexdigest() if end >= len(archive) else ""
        yield common_pb2.GetTokenizerChunk(data=bytes(view[begin:end]), sha256=last)
