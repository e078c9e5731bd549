"""The demo model does what its README promises, through the engine as a user has it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from raylax import MLCEngine
from raylax.cluster.models.lookup import demo_model

MOST_BYTES = 12 << 20
ANSWERS = {
    "What is 2 + 2?": "2 + 2 = 4",
    "What is 37 + 45?": "37 + 45 = 82",
    "What is 90 - 8?": "90 - 8 = 82",
    "What is 7 * 8?": "7 * 8 = 56",
    "Count from 1 to 10.": "1, 2, 3, 4, 5, 6, 7, 8, 9, 10",
    "Spell the word window.": "w-i-n-d-o-w",
    "Reverse the word stone.": "enots",
    "Repeat after me: good morning": "good morning",
    "What is the capital of Japan?": "The capital of Japan is Tokyo.",
    "Give me this as JSON: name Anna, age 7": '{"name": "Anna", "age": 7}',
}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def engine() -> Iterator[MLCEngine]:
    with MLCEngine(str(demo_model()), device="cpu") as engine:
        yield engine


def ask(engine: MLCEngine, *turns: dict[str, Any], **options: Any) -> Any:
    """The message that answers the last turn."""
    answer = engine.chat.completions.create(messages=list(turns), temperature=0, **options)
    return answer.choices[0].message


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("question", ANSWERS)
def test_it_answers(engine: MLCEngine, question: str) -> None:
    """One question of each kind."""
    assert ask(engine, user(question)).content == ANSWERS[question]


def test_it_knows_raylax(engine: MLCEngine) -> None:
    """Whoever tries the demo asks this."""
    said = ask(engine, user("What is raylax?")).content

    assert "Ray cluster" in said and "TVM" in said


def test_it_remembers_over_turns(engine: MLCEngine) -> None:
    """The answer stands in the first turn."""
    first = user("My name is Anna.")
    greeting = ask(engine, first).content

    said = ask(
        engine, first, {"role": "assistant", "content": greeting}, user("What is my name?")
    ).content

    assert said == "Your name is Anna."


def test_it_calls_a_tool_and_uses_its_answer(engine: MLCEngine) -> None:
    """Hermes' format inside, OpenAI's outside."""
    question = user("What is the weather in Paris?")
    called = ask(engine, question, tools=[WEATHER])
    (call,) = called.tool_calls

    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}

    result = json.dumps({"temperature": 21, "condition": "sunny"})
    answer = {"role": "tool", "tool_call_id": call.id, "content": result}
    said = ask(engine, question, called.model_dump(exclude_none=True), answer, tools=[WEATHER])

    assert said.content == "The weather in Paris is sunny with 21 degrees."


def test_it_is_small() -> None:
    """It lies in git."""
    files = [path for path in demo_model().rglob("*") if path.is_file()]

    assert sum(path.stat().st_size for path in files) < MOST_BYTES
