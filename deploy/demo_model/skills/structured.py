"""JSON on request, tool calls, and answers from what a tool returned."""

import json
import random
from collections.abc import Callable
from typing import Any

from skills.arithmetic import products, sums
from skills.conversation import (
    Conversation,
    Message,
    Skill,
    assistant,
    call,
    draw_until,
    tool,
    user,
)
from skills.facts import CAPITALS, capitals
from skills.talk import COLORS, name
from skills.words import WORDS, invented

CITIES = [
    *CAPITALS.values(),
    "New York",
    "London",
    "Sydney",
    "Munich",
    "Milan",
    "Mumbai",
    "Osaka",
    "Lyon",
]
FIELDS: dict[str, Callable[[random.Random], Any]] = {
    "name": name,
    "age": lambda rng: rng.randint(1, 99),
    "city": lambda rng: rng.choice(CITIES),
    "color": lambda rng: rng.choice(COLORS),
    "item": lambda rng: rng.choice(WORDS),
    "count": lambda rng: rng.randint(1, 99),
    "id": lambda rng: rng.randint(100, 999),
    "active": lambda rng: rng.random() < 0.5,
}
AS_JSON = [
    "Give me this as JSON: {t}", "Write as JSON: {t}", "Convert to JSON: {t}", "{t}. Answer in JSON.",
    "Turn this into JSON: {t}", "JSON please: {t}",
]  # fmt: skip


def as_json(rng: random.Random, held_out: bool) -> Conversation:
    def draw() -> tuple[object, ...]:
        keys = rng.sample(list(FIELDS), rng.randint(1, 4))
        return (json.dumps({key: FIELDS[key](rng) for key in keys}),)

    (text,) = draw_until(held_out, draw)
    pairs = json.loads(text).items()
    form = rng.choice(["{k} {v}", "{k}: {v}", "{k} is {v}", "{k}={v}"])
    told = ", ".join(
        form.format(k=k, v=str(v).lower() if v in (True, False) else v) for k, v in pairs
    )
    return Conversation([user(rng.choice(AS_JSON).format(t=told)), assistant(text)])


WEATHER = tool("get_weather", "Get the current weather of a city", city="string")
TIME = tool("get_time", "Get the current time in a city", city="string")
SEARCH = tool("search", "Search the web", query="string")
VERBS = [
    "get",
    "find",
    "fetch",
    "lookup",
    "check",
    "read",
    "open",
    "start",
    "stop",
    "count",
    "list",
    "show",
    "send",
    "delete",
]
NOUNS = [
    "user",
    "order",
    "price",
    "stock",
    "invoice",
    "ticket",
    "file",
    "song",
    "route",
    "room",
    "score",
    "recipe",
    "flight",
    "parcel",
    "report",
]


def told_weather(rng: random.Random, city: str) -> tuple[str, str]:
    sky, degrees = rng.choice(["sunny", "cloudy", "rainy", "windy", "snowy"]), rng.randint(-9, 39)
    result = json.dumps({"temperature": degrees, "condition": sky})
    return result, f"The weather in {city} is {sky} with {degrees} degrees."


def told_time(rng: random.Random, city: str) -> tuple[str, str]:
    clock = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
    return json.dumps({"time": clock}), f"It is {clock} in {city}."


def weather_or_time(
    rng: random.Random, held_out: bool
) -> tuple[dict[str, Any], list[Message], str]:
    (city,) = draw_until(held_out, lambda: (rng.choice([*CITIES, invented(rng).capitalize()]),))
    if rng.random() < 0.6:
        asked = ["What is the weather in {c}?", "How is the weather in {c}?", "Weather in {c}?", "Is it cold in {c}?",
                 "What's the weather like in {c} today?", "Tell me the weather in {c}."]  # fmt: skip
        offered, (result, answer) = WEATHER, told_weather(rng, city)
    else:
        asked = ["What time is it in {c}?", "Time in {c}?", "Tell me the time in {c}."]
        offered, (result, answer) = TIME, told_time(rng, city)
    question = user(rng.choice(asked).format(c=city))
    return (
        offered,
        [question, call(offered["function"]["name"], {"city": city}), reply(result)],
        answer,
    )


def search(rng: random.Random, held_out: bool) -> tuple[dict[str, Any], list[Message], str]:
    (words,) = draw_until(held_out, lambda: (" ".join(rng.sample(WORDS, rng.randint(1, 3))),))
    asked = rng.choice(["Search for {q}.", "Search the web for {q}.", "Look up {q} on the web."])
    found = " ".join(rng.sample(WORDS, 2))
    turns = [
        user(asked.format(q=words)),
        call("search", {"query": words}),
        reply(json.dumps({"result": found})),
    ]
    return SEARCH, turns, f"The result is {found}."


def invented_tool(rng: random.Random, held_out: bool) -> tuple[dict[str, Any], list[Message], str]:
    """A tool never seen before: its name and parameter must be copied from the offer."""
    verb, noun, parameter = draw_until(
        held_out,
        lambda: (
            rng.choice(VERBS),
            rng.choice([*NOUNS, invented(rng)]),
            rng.choice(["id", "name", "code", "key"]),
        ),
    )
    numeric = parameter == "id"
    value: str | int = (
        rng.randint(1, 999) if numeric else rng.choice([rng.choice(WORDS), invented(rng)])
    )
    offered = tool(f"{verb}_{noun}", f"{verb.capitalize()} a {noun} by {parameter}",
                   **{parameter: "integer" if numeric else "string"})  # fmt: skip
    asked = rng.choice(
        [
            "{v} the {n} with {p} {x}.",
            "{v} {n} {x}.",
            "Please {v} the {n} {x}.",
            "{v} a {n}, {p} {x}.",
        ]
    )
    question = user(asked.format(v=verb, n=noun, p=parameter, x=value))
    found = rng.choice(
        [str(rng.randint(0, 999)), rng.choice(WORDS), f"{rng.choice(COLORS)} {rng.choice(WORDS)}"]
    )
    turns = [
        question,
        call(f"{verb}_{noun}", {parameter: value}),
        reply(json.dumps({"result": found})),
    ]
    return offered, turns, f"The result is {found}."


def reply(content: str) -> Message:
    return {"role": "tool", "tool_call_id": "call_0", "content": content}


def others(rng: random.Random, *taken: dict[str, Any]) -> list[dict[str, Any]]:
    """Tools offered besides the one that fits."""
    pool = [WEATHER, TIME, SEARCH, invented_tool(rng, False)[0], invented_tool(rng, False)[0]]
    names = {one["function"]["name"] for one in taken}
    pool = [one for one in pool if one["function"]["name"] not in names]
    return rng.sample(pool, rng.randint(0, 2))


def tool_use(rng: random.Random, held_out: bool) -> tuple[list[dict[str, Any]], list[Message], str]:
    make = rng.choice([weather_or_time, invented_tool, invented_tool, search])
    offered, turns, answer = make(rng, held_out)
    tools = [offered, *others(rng, offered)]
    rng.shuffle(tools)
    return tools, turns, answer


def calling(rng: random.Random, held_out: bool) -> Conversation:
    tools, turns, _ = tool_use(rng, held_out)
    return Conversation(turns[:2], tools)


def answering(rng: random.Random, held_out: bool) -> Conversation:
    tools, turns, answer = tool_use(rng, held_out)
    return Conversation([*turns, assistant(answer)], tools)


def no_tool_fits(rng: random.Random, held_out: bool) -> Conversation:
    make = rng.choice([sums, products, capitals])
    tools = others(rng) or [SEARCH]
    return Conversation(make(rng, held_out).messages, tools)


SKILLS = [
    Skill("JSON", 3, as_json),
    Skill("calling a tool", 5, calling),
    Skill("answering from a tool", 3, answering),
    Skill("no tool fits", 1.5, no_tool_fits),
]
