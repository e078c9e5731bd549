"""Streams for clients of HTTP/1.0, which knows no chunks: the end of the connection ends them.

uvicorn writes chunks whatever the client's version, and an application cannot tell it not to. So
does nginx ask as a proxy, unless told otherwise. uvicorn's other parser, h11, needs none of this.
"""

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http import httptools_impl

WITHOUT_END = 1 << 62
"""Bytes that a body may still have when nobody knows how many it has."""


class WithoutChunks(httptools_impl.RequestResponseCycle):
    """A request and its answer in uvicorn."""

    _until_close = False

    async def send(self, message: ASGISendEvent) -> None:
        if self.scope["http_version"] == "1.0":
            self._announce_no_chunks(message)
        await super().send(message)

    def _announce_no_chunks(self, message: ASGISendEvent) -> None:
        """Has uvicorn write the body's bytes as they are, and count them as if their number had
        been announced; it ends such a connection after the answer in any case."""
        if message["type"] == "http.response.start":
            names = {name.lower() for name, _ in message.get("headers", [])}
            self._until_close = b"content-length" not in names
            if self._until_close:
                self.chunked_encoding = False
        elif message["type"] == "http.response.body" and self._until_close:
            last = len(message.get("body", b""))
            self.expected_content_length = WITHOUT_END if message.get("more_body") else last


def answer_old_clients() -> None:
    """Every uvicorn of this process, whoever starts it, answers HTTP/1.0 without chunks."""
    httptools_impl.RequestResponseCycle = WithoutChunks  # type: ignore[misc]
