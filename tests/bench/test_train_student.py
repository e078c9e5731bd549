"""What a student is made of and learns from; it is trained by who runs `bench/train_student.py`."""

import importlib
import random
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from raylax.kernels.build import load_whole
from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.options import ModelOptions
from tests.support.batches import Piece, run
from tests.support.checkpoints import write_checkpoint

BENCH = Path(__file__).parents[2] / "bench"
DEMO = BENCH.parent / "deploy" / "demo_model"
TEXT = [5, 6, 7, 8, 9, 5, 6]


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("student.prompts")


def test_no_question_is_learned_from_that_is_measured_on(
    prompts: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none comes twice."""
    first = list(islice(prompts.questions(random.Random(1)), 60))
    monkeypatch.setattr(prompts, "chats", lambda count: first[::2])
    others = list(islice(prompts.questions(random.Random(1)), 60))

    assert len(set(first)) == 60
    assert others[:30] == first[1::2]
    assert not set(others) & set(first[::2])


def test_texts_begin_anywhere_in_what_every_machine_has(prompts: ModuleType) -> None:
    some = list(islice(prompts.pieces(random.Random(1)), 20))

    assert len(set(some)) == 20
    assert all(0 < len(one) <= prompts.PIECE for one in some)


def test_a_teacher_answers_questions_and_goes_on_with_texts(
    prompts: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions to the end of their answers."""
    answers = importlib.import_module("student.answers")
    monkeypatch.setattr(answers, "PER_ROUND", 2)
    said = list(answers.answered(DEMO, 0.0, 1))

    assert len(said) == 5 * 2
    assert all(one.prompt and one.answer for one in said)
    assert len(said[0].answer) < len(said[-1].answer)


def test_a_student_of_all_layers_says_what_its_teacher_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In plain torch, and in raylax, which reads what was saved of it."""
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(BENCH))
    layers = importlib.import_module("student.layers")
    path, tokens = write_checkpoint(tmp_path / "teacher"), torch.arange(3, 90, 2)
    teacher = layers.teacher_of(path)
    student = layers.Student(teacher, [0, 1], tokens)
    student.save(tmp_path / "student", path)
    served = run(
        load_whole(tmp_path / "student", ModelOptions("q0f32", threads=1), 4), Piece(TEXT, 0, [0])
    )
    with torch.no_grad():
        said = student.logits(student(torch.tensor([TEXT])))[0, -1].numpy()
        whole = teacher.float()
        wanted = whole.logits(whole(torch.tensor([TEXT])))[0, -1, tokens].numpy()

    named = open_checkpoint(tmp_path / "student").tokens
    assert named is not None and named.tolist() == tokens.tolist()
    assert np.abs(said - wanted).max() < 1e-3
    assert np.abs(served - wanted).max() < 1e-3
