"""What has a grammar is never malformed, whatever the model says, and law 1 holds for it. The model
has random weights: it knows nothing of JSON."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from raylax.proto.grammar.constraint import Constraint
from raylax.proto.grammar.thoughts import Thinking, may_think_first
from raylax.proto.grammar.writing import grammar_of
from raylax.proto.text.files import TextFiles
from raylax.proto.vocabulary import Finish, Request, Sampling, ThinkingLimit
from raylax.worker.engine.threaded_engine import ThreadedEngine
from tests.support.engines import ONE, Answers, running_engine
from tests.support.schemas import HELD

ENDS = frozenset({1})
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 6},
        "born": {"type": "integer", "minimum": 1900, "maximum": 2026},
        "married": {"type": "boolean"},
        "children": {"type": "array", "items": {"enum": ["ann", "bob"]}, "maxItems": 2},
    },
    "required": ["name", "born", "married", "children"],
    "additionalProperties": False,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "object": PERSON,
    "optional": {**PERSON, "required": ["born"]},
    "array": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "enum": {"enum": ["red", "green", 3, None, {"a": [1]}]},
    "const": {"const": "a rather long text, of which nothing is left to the model"},
    "any-of": {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": 99}]},
    "pattern": {"type": "string", "pattern": "^[a-c]{2,4}-[0-9]{2}$"},
    "recursive": {
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {"leaf": {"type": "boolean"}, "more": {"$ref": "#/$defs/tree"}},
                "required": ["leaf"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/tree",
    },
    "date": {"type": "string", "format": "date"},
    "tuple": {
        "type": "array",
        "prefixItems": [{"type": "boolean"}, {"enum": ["x", "y"]}],
        "items": False,
        "minItems": 2,
    },
    "one-of": HELD["oneOf of kinds"],
    "draft-7": HELD["draft 7's tuple"],
}
SEEDS = range(3)
CONFIG = replace(ONE, max_num_sequence=8, max_single_sequence_length=256)


def asked(name: str, seed: int, most: int = 160, **sampling: Any) -> Request:
    """For an answer that this schema describes."""
    grammar = grammar_of(Constraint("json_schema", SCHEMAS[name], "response_format"))
    drawn = Sampling(temperature=1.0, seed=seed, grammar=grammar, **sampling)
    return Request(f"{name}/{seed}", (5, 6, 7), most, drawn, stop_token_ids=ENDS)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[tuple[ThreadedEngine, Answers]]:
    with running_engine(checkpoint, CONFIG) as running:
        yield running


@pytest.fixture(scope="module")
def together(engine: tuple[ThreadedEngine, Answers]) -> Answers:
    """An answer for each schema and seed, eight at a time."""
    requests = [asked(name, seed) for name in SCHEMAS for seed in SEEDS]
    for one in requests:
        engine[0].add_request(one)
    engine[1].wait_for(*(one.id for one in requests))
    return engine[1]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", SCHEMAS)
def test_every_answer_parses_and_validates(
    checkpoint: Path, together: Answers, name: str, seed: int
) -> None:
    """Or says that it was cut."""
    text = TextFiles(checkpoint).tokenizer().decode(together.tokens(f"{name}/{seed}"))
    (end,) = together.ends(f"{name}/{seed}")

    if end is Finish.STOP:
        jsonschema.validate(json.loads(text), SCHEMAS[name])
    else:
        assert end is Finish.LENGTH
        assert name in ("object", "optional", "recursive")


def test_most_answers_are_whole(together: Answers) -> None:
    """Else the test above would show little."""
    ends = [together.ends(f"{name}/{seed}")[0] for name in SCHEMAS for seed in SEEDS]

    assert ends.count(Finish.STOP) > 0.8 * len(ends)


@pytest.fixture(scope="module")
def alone(checkpoint: Path) -> Answers:
    """The same answers without drafts, each by itself."""
    config = replace(CONFIG, speculative_mode="disable", max_num_sequence=1)
    with running_engine(checkpoint, config) as (engine, answers):
        for name in SCHEMAS:
            engine.add_request(asked(name, 0))
            answers.wait_for(f"{name}/0")
        return answers


@pytest.mark.parametrize("name", SCHEMAS)
def test_neighbours_and_drafts_change_nothing(alone: Answers, together: Answers, name: str) -> None:
    """What must follow is drawn one by one here, and verified at once there."""
    assert alone.tokens(f"{name}/0") == together.tokens(f"{name}/0")
    assert alone.ends(f"{name}/0") == together.ends(f"{name}/0")


def test_what_must_follow_takes_few_steps(engine: tuple[ThreadedEngine, Answers]) -> None:
    running, answers = engine
    before = running.load().step
    running.add_request(replace(asked("const", 7), id="const"))
    answers.wait_for("const")

    assert len(answers.tokens("const")) > 50
    assert running.load().step - before < 10


@pytest.mark.parametrize("name", ["object", "pattern", "const"])
def test_an_answer_goes_on_elsewhere_as_it_would_have(
    engine: tuple[ThreadedEngine, Answers], together: Answers, name: str
) -> None:
    """From wherever it was lost."""
    running, answers = engine
    whole = together.tokens(f"{name}/1")
    for at in range(1, len(whole), 7):
        one = replace(asked(name, 1), id=f"{name} from {at}", history=tuple(whole[:at]))
        running.add_request(one)
        answers.wait_for(one.id)

        assert answers.tokens(one.id) == whole[at:]
        assert answers.ends(one.id) == together.ends(f"{name}/1")


def test_a_history_that_is_not_in_the_grammar_is_the_requests_fault(
    engine: tuple[ThreadedEngine, Answers],
) -> None:
    running, answers = engine
    running.add_request(replace(asked("object", 1), id="wrong", history=(9, 9, 9)))
    answers.wait_for("wrong")

    (last,) = answers.deltas["wrong"]
    assert last.finish is Finish.ERROR
    assert last.error is not None and last.error.startswith("the grammar: ")


def test_an_answer_that_is_cut_says_so(engine: tuple[ThreadedEngine, Answers]) -> None:
    running, answers = engine
    running.add_request(replace(asked("object", 1, most=9), id="cut"))
    answers.wait_for("cut")

    assert answers.ends("cut") == [Finish.LENGTH]
    assert len(answers.tokens("cut")) == 9


def thoughtful(id: str, **fields: Any) -> Request:
    """An answer that begins with a thought, for all speaks for it, and nothing for its end."""
    begins, ends = 60 - 32, 126 - 32  # "<" and "~"
    form = asked("object", 5).sampling.grammar
    sampling = Sampling(
        temperature=1.0,
        seed=5,
        grammar=may_think_first(form, Thinking(("<",), ("~",), {})),
        logit_bias=((begins, 100.0), (ends, -100.0)),
        thinking=ThinkingLimit(12, (begins,), ends, (ends,)),
    )
    return replace(asked("object", 5), id=id, sampling=sampling, max_tokens=200, **fields)


def test_a_thought_may_come_first_and_goes_on_elsewhere(
    checkpoint: Path, engine: tuple[ThreadedEngine, Answers]
) -> None:
    """From within it, from its end, and from the form."""
    running, answers = engine
    running.add_request(thoughtful("thoughtful"))
    answers.wait_for("thoughtful")
    whole = answers.tokens("thoughtful")
    thought, end, form = TextFiles(checkpoint).tokenizer().decode(whole).partition("~")

    assert end and thought.startswith("<")
    jsonschema.validate(json.loads(form), PERSON)
    for at in (1, 5, len(thought), len(thought) + 1, len(thought) + 9):
        running.add_request(thoughtful(f"thoughtful from {at}", history=tuple(whole[:at])))
        answers.wait_for(f"thoughtful from {at}")
        assert answers.tokens(f"thoughtful from {at}") == whole[at:]


def test_a_grammar_may_begin_behind_other_tokens(
    checkpoint: Path, engine: tuple[ThreadedEngine, Answers], together: Answers
) -> None:
    """As behind what a model thinks first. What comes before is as free as ever."""
    running, answers = engine
    free = replace(asked("enum", 2), sampling=Sampling(seed=2), id="free", max_tokens=60)
    running.add_request(free)
    answers.wait_for("free")
    said = answers.tokens("free")
    mark = tuple(said[3:5])
    at = next(at for at in range(len(said)) if tuple(said[at : at + 2]) == mark) + 2
    running.add_request(replace(asked("enum", 2, grammar_after=mark), id="behind"))
    answers.wait_for("behind")
    behind = answers.tokens("behind")

    assert behind[:at] == said[:at]
    text = TextFiles(checkpoint).tokenizer().decode(behind[at:])
    jsonschema.validate(json.loads(text), SCHEMAS["enum"])
    assert answers.ends("behind") == [Finish.STOP]
