"""A talk with a model, in the terminal."""

import json
from typing import Any

import httpx
from rich.console import Console
from rich.text import Text

from raylax.cluster.address import base_of, credentials, needs_key, nobody_at

CONNECT_S = 5.0


def talk(url: str, system: str | None, temperature: float | None, console: Console) -> None:
    """Reads questions until Ctrl-D. Raises UserError when nobody serves there."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    settings = {} if temperature is None else {"temperature": temperature}
    with connect(url) as client:
        console.print(f"talking to {model_at(client, url)}; Ctrl-D ends", highlight=False)
        while (question := ask(console)) is not None:
            if not question:
                continue
            messages.append({"role": "user", "content": question})
            answer = say(client, {"messages": messages, "stream": True, **settings}, console)
            if answer is None:
                messages.pop()
            else:
                messages.append({"role": "assistant", "content": answer})


def connect(url: str) -> httpx.Client:
    """A client that shows the environment's key. Raises UserError for what is no address."""
    try:
        timeout = httpx.Timeout(None, connect=CONNECT_S)
        return httpx.Client(base_url=base_of(url), timeout=timeout, headers=credentials())
    except httpx.InvalidURL:
        raise nobody_at(url) from None


def model_at(client: httpx.Client, url: str) -> str:
    """The first model that is served there. Raises UserError."""
    try:
        response = client.get("/v1/models", timeout=CONNECT_S)
        if response.status_code == 401:
            raise needs_key(url)
        return str(response.json()["data"][0]["id"])
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
        raise nobody_at(url) from None


def ask(console: Console) -> str | None:
    """The next question; empty after Ctrl-C, None at the end of input."""
    try:
        return console.input("[bold blue]> [/]").strip()
    except EOFError:
        console.print()
        return None
    except KeyboardInterrupt:
        console.print()
        return ""


def say(client: httpx.Client, body: dict[str, Any], console: Console) -> str | None:
    """Print the answer as it comes; None if there was none. Ctrl-C keeps what was said."""
    said = ""
    try:
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                response.read()
                raise ChatRefused(message_of(response))
            for event in filter(None, map(parse, response.iter_lines())):
                if "error" in event:
                    raise ChatRefused(event["error"]["message"])
                for choice in event["choices"]:
                    text = choice["delta"].get("content") or ""
                    said += text
                    console.out(text, end="", highlight=False)
    except KeyboardInterrupt:
        pass
    except (ChatRefused, httpx.HTTPError) as error:
        console.print(Text(f"{chr(10) if said else ''}{error}", style="red"), end="")
    console.print()
    return said or None


class ChatRefused(Exception):
    """The server has said why there is no answer, or no more of it."""


def message_of(response: httpx.Response) -> str:
    """Why the server refused, in its words if it has any."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {response.status_code}"


def parse(line: str) -> dict[str, Any] | None:
    """A server-sent event's JSON; None for anything else."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return None
    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return event
