"""What drafts for the demo model: right as often as its README says, about."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from jinja2 import Environment
from tokenizers import Tokenizer

from raylax.cluster.models.lookup import demo_model
from raylax.kernels.build import load_whole
from raylax.kernels.heads.base import DraftHead
from raylax.kernels.heads.eagle import load_head
from raylax.kernels.model import Floats, Model, TappedModel
from raylax.kernels.options import ModelOptions
from tests.support.batches import Piece, batch_of
from tests.support.paths import ROOT

QUESTIONS = (
    "What is 37 + 45?",
    "What is 9 * 7?",
    "Count from 3 to 11.",
    "Repeat after me: good morning",
    "What is the capital of Japan?",
    "Give me this as JSON: name Anna, age 7",
    "What is raylax?",
    "Who won the match yesterday?",
)
PAGES, DEPTH, LONGEST = list(range(16)), 3, 60
LEAST = (0.9, 0.85, 0.8)
"""Of drafts 1, 2, 3 in a row, those that are right with all before them."""


class Answer(NamedTuple):
    """A question with the demo model's answer."""

    ids: list[int]
    asked: int
    """Tokens of the question."""
    tapped: Floats
    """What the model keeps of each token."""


@pytest.fixture(scope="module")
def options() -> ModelOptions:
    return ModelOptions(threads=2, max_step_tokens=256, max_step_rows=64, max_sequence_length=256)


@pytest.fixture(scope="module")
def head(options: ModelOptions) -> DraftHead:
    return load_head(demo_model() / "eagle", demo_model(), options, len(PAGES))


@pytest.fixture(scope="module")
def answers(head: DraftHead, options: ModelOptions) -> list[Answer]:
    model = load_whole(demo_model(), replace(options, taps=head.taps), len(PAGES))
    return [answered(model, prompt) for prompt in prompts()]


def prompts() -> list[list[int]]:
    """The questions as the model is asked them."""
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(
        (demo_model() / "chat_template.jinja").read_text()
    )
    tokenizer = Tokenizer.from_file(str(demo_model() / "tokenizer.json"))
    asked = [[{"role": "user", "content": question}] for question in QUESTIONS]
    return [
        tokenizer.encode(template.render(messages=one, add_generation_prompt=True)).ids
        for one in asked
    ]


def answered(model: Model, prompt: list[int]) -> Answer:
    """Greedily, and all of it computed once more, at once."""
    ids, end = list(prompt), 2
    drawn = model.step(batch_of([Piece(ids, 0, PAGES)])).drawn
    while (token := int(drawn[0])) != end and len(ids) < len(prompt) + LONGEST:
        ids.append(token)
        drawn = model.step(batch_of([Piece([token], len(ids) - 1, PAGES)])).drawn
    model.step(batch_of([Piece(ids, 0, PAGES)]))
    tapped: TappedModel = model  # type: ignore[assignment]
    return Answer(ids, len(prompt), tapped.tapped(np.arange(len(ids), dtype=np.int32)))


def right(head: DraftHead, answer: Answer) -> list[int]:
    """Behind each token of an answer: how many drafts in a row are right."""
    ids, found = answer.ids, []
    features = head.features(answer.tapped)
    first = answer.asked - 1
    head.step(batch_of([Piece(ids[1 : first + 1], 0, PAGES)]), features[:first])
    for at in range(first, len(ids) - 1 - DEPTH):
        token, feature, count = ids[at + 1], features[at : at + 1], 0
        for depth in range(DEPTH):
            said = head.step(batch_of([Piece([token], at + depth, PAGES)]), feature)
            token, feature = int(said.drawn[0]), said.hidden.copy()
            if token != ids[at + 2 + depth]:
                break
            count += 1
        found.append(count)
    return found


def test_the_head_drafts_what_the_model_says(head: DraftHead, answers: list[Answer]) -> None:
    """Of answers to questions of most kinds."""
    counts = [count for answer in answers for count in right(head, answer)]

    shares = [np.mean([count > depth for count in counts]) for depth in range(DEPTH)]
    assert all(share > least for share, least in zip(shares, LEAST, strict=True)), shares


def test_the_small_model_says_what_the_model_says(
    answers: list[Answer], options: ModelOptions
) -> None:
    """It has the same words, and reads the same text."""
    small, counts = load_whole(demo_model() / "small_draft", options, len(PAGES)), []
    for ids, asked, _ in answers:
        rows = np.arange(asked - 1, len(ids) - 1, dtype=np.int32)
        drawn = small.step(batch_of([Piece(ids, 0, PAGES)])._replace(rows=rows)).drawn
        same = (drawn == ids[asked:]).astype(int)
        windows = np.lib.stride_tricks.sliding_window_view(same, DEPTH)
        counts += np.cumprod(windows, axis=1).sum(axis=1).tolist()

    shares = [np.mean([count > depth for count in counts]) for depth in range(DEPTH)]
    assert all(share > least for share, least in zip(shares, LEAST, strict=True)), shares


def test_both_are_packaged() -> None:
    """A wheel has them: what lies beside the model is found as a package's data."""
    setuptools = pytest.importorskip("setuptools")
    packages = setuptools.find_namespace_packages(str(ROOT / "src"))

    for name in ("eagle", "small_draft"):
        assert f"raylax.deploy.demo_model.{name}" in packages
        assert (demo_model() / name / "model.safetensors").stat().st_size < 2 << 20


def test_they_are_the_models_own_words() -> None:
    """A draft model must have the same tokenizer."""
    own, smalls = (
        place / "tokenizer.json" for place in (demo_model(), demo_model() / "small_draft")
    )

    assert own.read_bytes() == smalls.read_bytes()
