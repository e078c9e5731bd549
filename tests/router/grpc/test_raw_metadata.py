"""Metadata as no gRPC library would send them."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.router_rig import PATIENCE_S, Rig, running_router

pytestmark = pytest.mark.asyncio(loop_scope="module")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
OK, INVALID_ARGUMENT = 0, 3
READ_BY_US = (
    b"authorization", b"x-api-key", b"x-request-id", b"x-request-timeout", b"x-raylax-priority",
    b"traceparent", b"tracestate", b"grpc-accept-encoding", b"anything-else",
)  # fmt: skip
METHOD = "/raylax.v1.Raylax/ListModels"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(checkpoint: Path) -> AsyncIterator[Rig]:
    async with running_router(checkpoint) as made:
        yield made


def frame(kind: int, flags: int, stream: int, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def field(name: bytes, value: bytes) -> bytes:
    """A header of HPACK, literal and not remembered."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def status_in(came: bytes) -> int:
    """The call's status, which has one digit here."""
    (status,) = re.findall(rb"grpc-status\x01(\d)", came)
    return int(status)


async def asked(address: str, name: bytes, value: bytes) -> bytes:
    """All that comes in answer to a call with this header, until the stream's last frame."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    known = {":method": "POST", ":scheme": "http", ":path": METHOD, ":authority": "localhost",
             "content-type": "application/grpc", "te": "trailers"}  # fmt: skip
    said = b"".join(field(key.encode(), text.encode()) for key, text in known.items())
    writer.write(
        PREFACE
        + frame(SETTINGS, 0, 0)
        + frame(HEADERS, END_HEADERS, 1, said + field(name, value))
        + frame(DATA, END_STREAM, 1, bytes(5))
    )
    came = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                head = await reader.readexactly(9)
                content = await reader.readexactly(int.from_bytes(head[:3]))
                came += head + content
                if head[3] == HEADERS and head[4] & END_STREAM:
                    return came
    finally:
        writer.close()


@pytest.mark.parametrize("value", [b"\xe9", b"\xff\xfe", b"\xb2", b"9" * 120])
async def test_no_metadata_are_an_error_of_ours(
    rig: Rig, value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever a client writes there: it is refused, or not looked at, and fills no log."""
    came = {name: status_in(await asked(rig.grpc_address, name, value)) for name in READ_BY_US}

    refused = {name for name, status in came.items() if status == INVALID_ARGUMENT}
    assert set(came.values()) <= {OK, INVALID_ARGUMENT}
    assert refused <= {b"x-request-timeout", b"x-raylax-priority"}
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
