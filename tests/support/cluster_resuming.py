"""A streamed answer that its client comes back to, whatever becomes of the cluster."""

import json
import time
from contextlib import suppress
from typing import Any

import httpx

from tests.support.cluster_serving import START_S

ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": "hi"}],
    "max_tokens": 450, "temperature": 0, "ignore_eos": True, "stream": True,
}  # fmt: skip
TTL_S = 60


class Answer:
    """A streamed answer that its client comes back to."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.text, self.ended, self._last = "", False, ""

    def begin(self) -> None:
        """Up to the first text."""
        headers = {"X-Raylax-Resume": str(TTL_S)}
        with self._client.stream("POST", "/v1/chat/completions", headers=headers, json=ASK) as said:
            said.raise_for_status()
            self._hear(said, until_there_is_text=True)

    def go_on(self) -> None:
        """To its end, whatever happens meanwhile."""
        deadline = time.monotonic() + START_S
        while not self.ended:
            assert time.monotonic() < deadline, f"it did not go on after {self._last}"
            call_id = self._last.rpartition(":")[0]
            headers = {"Last-Event-ID": self._last}
            with (
                suppress(httpx.HTTPError),
                self._client.stream("GET", f"/v1/streams/{call_id}", headers=headers) as said,
            ):
                assert said.status_code in (200, 503), said.read()
                if said.status_code == 200:
                    self._hear(said)
            time.sleep(0.1)

    def _hear(self, said: httpx.Response, until_there_is_text: bool = False) -> None:
        for line in said.iter_lines():
            if line.startswith("id: "):
                self._last = line.removeprefix("id: ")
            elif line == "data: [DONE]":
                self.ended = True
            elif line.startswith("data: "):
                for choice in json.loads(line.removeprefix("data: "))["choices"]:
                    self.text += choice["delta"].get("content") or ""
            if until_there_is_text and self.text:
                return


def whole(client: httpx.Client) -> str:
    """An answer that nothing has disturbed."""
    answer = Answer(client)
    answer.begin()
    answer.go_on()
    return answer.text
