"""A checkpoint's tokenizer as a zip file, so that a gateway need not have the checkpoint."""

from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from raylax.proto.pb import common_pb2

NAMES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", "config.json",
    "generation_config.json",
)  # fmt: skip
CHUNK_BYTES = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can tell."""


def tokenizer_zip(checkpoint: Path) -> bytes:
    """The same bytes for the same files, whenever they were written."""
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        for path in (checkpoint / name for name in NAMES):
            if path.is_file():
                info = ZipInfo(path.name, EPOCH)
                archive.writestr(info, path.read_bytes(), ZIP_DEFLATED)
    return out.getvalue()


def chunks(whole: bytes) -> Iterator[common_pb2.GetTokenizerChunk]:
    """The last one has the hash of them all."""
    view = memoryview(whole)
    for begin in range(0, len(whole), CHUNK_BYTES):
        end = begin + CHUNK_BYTES
        last = sha256(whole).hexdigest() if end >= len(whole) else ""
        yield common_pb2.GetTokenizerChunk(data=bytes(view[begin:end]), sha256=last)
