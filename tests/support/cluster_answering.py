"""A server that is not raylax, or one that is in trouble: it always says the same."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answering:
    """Answers any request with this. `cut`: it says that more comes, and closes."""

    status: int
    kind: str
    body: str
    cut: bool = False

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its URL, while it runs."""
        said = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = said.body.encode()
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(said.status)
                self.send_header("content-type", said.kind)
                self.send_header("content-length", str(len(body) + 100 * said.cut))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, format: str, *args: object) -> None:
                """Tests say what went wrong."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
