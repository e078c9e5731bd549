"""A talk with a model, in the terminal."""

import json
from typing import Any

import httpx
from rich.console import Console

from raylax.cluster.config import UserError

CONNECT_S = 5.0


def talk(url: str, system: str | None, temperature: float | None, console: Console) -> None:
    """Reads questions until Ctrl-D. Raises UserError when nobody serves there."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    settings = {} if temperature is None else {"temperature": temperature}
    with httpx.Client(base_url=url, timeout=httpx.Timeout(None, connect=CONNECT_S)) as client:
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


def model_at(client: httpx.Client, url: str) -> str:
    try:
        models = client.get("/v1/models").json()
        return str(models["data"][0]["id"])
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
        raise UserError(f"no raylax answers at {url}; start one by `raylax serve`") from None


def ask(console: Console) -> str | None:
    """None at the end of input."""
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
            for line in response.iter_lines():
                event = parse(line) if response.status_code == 200 else None
                if event is None:
                    continue
                if "error" in event:
                    console.print(f"\n[red]{event['error']['message']}[/]", highlight=False)
                    return said or None
                for choice in event["choices"]:
                    text = choice["delta"].get("content") or ""
                    said += text
                    console.out(text, end="", highlight=False)
            if response.status_code != 200:
                console.print(f"[red]the server answered {response.status_code}[/]")
                return None
    except KeyboardInterrupt:
        pass
    except httpx.HTTPError as error:
        console.print(f"\n[red]{error}[/]")
    console.print()
    return said or None


def parse(line: str) -> dict[str, Any] | None:
    """A server-sent event's JSON; None for anything else."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return None
    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return event
