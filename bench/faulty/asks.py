"""Requests of all kinds, each with an answer that must not depend on what happens on the way."""

import json
import random
from dataclasses import dataclass
from typing import Any

import httpx

from faulty.forms import Form, form

SYSTEM = "You are a helpful assistant that answers in whole sentences and likes numbers. "
TOPICS = ["the sea", "seven hills", "a machine", "what is 2 + 2", "count to ten", "an old song"]
Answer = list[Any]


@dataclass(frozen=True)
class Ask:
    path: str
    body: dict[str, Any]
    form: Form | None = None

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))


def asks(count: int, seed: int, formed: float = 0.0) -> list[Ask]:
    """The same ones for the same seed. `formed`: the share of those whose answers have a form."""
    rng = random.Random(seed)
    return [formed_ask(rng) if rng.random() < formed else ask(rng) for _ in range(count)]


def ask(rng: random.Random) -> Ask:
    body: dict[str, Any] = {
        "max_tokens": rng.choice([8, 30, 80, 120]),
        "temperature": rng.choice([0, 0.7, 1.0]),
        "seed": rng.randrange(1000),
        "stream": rng.random() < 0.7,
    }
    if rng.random() < 0.3:
        body |= {"presence_penalty": 0.4, "frequency_penalty": 0.2}
    if rng.random() < 0.2:
        body |= {"n": rng.choice([2, 3])}
    if rng.random() < 0.2:
        body |= {"stop": rng.choice([["e"], [" the", "7"], ["zz"]])}
    if rng.random() < 0.3:
        body |= {"ignore_eos": True}
    text = SYSTEM * rng.randrange(6) + f"Tell me of {rng.choice(TOPICS)}, please."
    if rng.random() < 0.7:
        if rng.random() < 0.3:
            body |= {"logprobs": True, "top_logprobs": 2}
        messages = [{"role": "user", "content": text}]
        return Ask("/v1/chat/completions", {**body, "messages": messages})
    if rng.random() < 0.3:
        body |= {"logprobs": 2}
    return Ask("/v1/completions", {**body, "prompt": text})


def formed_ask(rng: random.Random) -> Ask:
    wanted = form(rng)
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": f"Tell me of {rng.choice(TOPICS)}."}],
        "max_tokens": rng.choice([20, 120, 200]),
        "temperature": rng.choice([0, 0.7, 1.2]),
        "seed": rng.randrange(1000),
        "stream": rng.random() < 0.7,
        **wanted.fields,
    }
    if rng.random() < 0.2:
        body |= {"n": 2}
    if rng.random() < 0.2:
        body |= {"logprobs": True, "top_logprobs": 2}
    return Ask("/v1/chat/completions", body, wanted)


@dataclass
class Heard:
    """An answer, and when its parts came, on the client's clock."""

    call_id: str
    answer: Answer
    times: list[float]


async def heard(client: httpx.AsyncClient, ask: Ask, clock: Any) -> Heard:
    """Everything that identifies the answer: each chunk of each choice, but no ids and no times.

    Raises RuntimeError for an error, httpx.HTTPError for a connection that broke.
    """
    if not ask.streams:
        reply = await client.post(ask.path, json=ask.body)
        if reply.status_code != 200:
            raise RuntimeError(f"{reply.status_code}: {reply.text}")
        said = reply.json()
        return Heard(said["id"], without_ids(said["choices"]), [])
    chunks, times = [], []
    async with client.stream("POST", ask.path, json=ask.body) as reply:
        if reply.status_code != 200:
            raise RuntimeError(f"{reply.status_code}: {(await reply.aread()).decode()}")
        async for line in reply.aiter_lines():
            if line.startswith("data: {"):
                times.append(clock())
                chunks.append(json.loads(line.removeprefix("data: ")))
    if errors := [chunk for chunk in chunks if "error" in chunk]:
        raise RuntimeError(str(errors))
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    ordered = sorted(without_ids(choices), key=lambda one: one["index"])
    return Heard(chunks[0]["id"], ordered, times)


def without_ids(choices: list[Any]) -> list[Any]:
    """Calls of tools have ids that follow from the answer's own."""
    for choice in choices:
        for call in (choice.get("delta") or choice.get("message") or {}).get("tool_calls") or ():
            call.pop("id", None)
    return choices
