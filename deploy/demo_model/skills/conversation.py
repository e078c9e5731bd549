"""What a skill makes: a conversation, and the rule that keeps some content out of training."""

import json
import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


@dataclass(frozen=True)
class Conversation:
    messages: list[Message]
    tools: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Skill:
    """`make(rng, held_out)` draws a conversation whose content is, or is not, kept from training."""

    name: str
    weight: float
    make: Callable[[random.Random, bool], Conversation]


def is_held_out(*content: object) -> bool:
    """A tenth of all content, by a hash of what matters: operands or words, not their phrasing."""
    return zlib.crc32(repr(content).encode()) % 10 == 0


def draw_until(held_out: bool, draw: Callable[[], tuple[object, ...]]) -> tuple[Any, ...]:
    while is_held_out(*(content := draw())) is not held_out:
        pass
    return content


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def ask(
    rng: random.Random, phrasings: Sequence[str], answer: str, **values: object
) -> Conversation:
    """A question in one of several phrasings, sometimes without its capital or its last stop."""
    question = rng.choice(phrasings).format(**values)
    if rng.random() < 0.2:
        question = question[0].lower() + question[1:]
    if rng.random() < 0.2:
        question = question.rstrip("?.")
    return Conversation([user(question), assistant(answer)])


def call(name: str, arguments: dict[str, Any]) -> Message:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_0", "type": "function", "function": function}],
    }


def tool(name: str, description: str, /, **parameters: str) -> dict[str, Any]:
    """A tool as OpenAI's API offers it; `parameters` maps names to JSON types."""
    properties = {key: {"type": kind} for key, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": description, "parameters": schema}
    return {"type": "function", "function": function}
