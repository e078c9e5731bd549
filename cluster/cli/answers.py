"""An answer of the chat API as it comes, and in a sentence why it does not, or no more of it."""

import json
from collections.abc import Generator
from typing import Any

import httpx

from raylax.cluster.address import ask, lost, needs_key, something_else, understood
from raylax.cluster.errors import UserError

PATH = "/v1/chat/completions"


def models_at(url: str) -> list[str]:
    """Names of the models that are served there, at least one. Raises UserError."""
    known = ask(url, "GET", "/v1/models")
    with understood(url):
        names = [str(model["id"]) for model in known["data"]]
    if not names:
        raise UserError(f"no model is served at {url}")
    return names


def answer(client: httpx.Client, url: str, body: dict[str, Any]) -> Generator[str, None, None]:
    """The pieces of an answer. Raises UserError: the server's refusal, or that it went away."""
    ended = begun = False
    try:
        with client.stream("POST", PATH, json=body) as response:
            if response.status_code != 200:
                response.read()
                raise refusal(response, url)
            for event in filter(None, map(parse, response.iter_lines())):
                begun = True
                if "error" in event:
                    raise UserError(str(event["error"]["message"]))
                for choice in event["choices"]:
                    ended = ended or choice.get("finish_reason") is not None
                    yield choice["delta"].get("content") or ""
    except (httpx.HTTPError, OSError) as error:
        raise broken_off(url) if begun else lost(url, error) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise something_else(url) from None
    if not begun:
        raise something_else(url, response)
    if not ended:
        raise broken_off(url)


def broken_off(url: str) -> UserError:
    """The error to raise when an answer that has begun does not end."""
    return UserError(f"{url} went away in the middle of the answer")


def refusal(response: httpx.Response, url: str) -> UserError:
    """Why the server refused, in its words if it has any."""
    if response.status_code == 401:
        return needs_key(url)
    try:
        return UserError(str(response.json()["error"]["message"]))
    except (ValueError, KeyError, TypeError):
        return something_else(url, response)


def parse(line: str) -> dict[str, Any] | None:
    """A server-sent event's JSON; None for anything else. Raises ValueError."""
    if not line.startswith("data: ") or line == "data: [DONE]":
        return None
    event: dict[str, Any] = json.loads(line.removeprefix("data: "))
    return event
