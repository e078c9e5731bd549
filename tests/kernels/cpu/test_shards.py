"""A model shared among ranks computes what the whole model does."""

from pathlib import Path

import numpy as np
import pytest

from raylax.kernels.cpu.model import load_model
from raylax.kernels.cpu.program import BEHIND_MEETINGS
from raylax.kernels.errors import CompileError
from raylax.kernels.options import ModelOptions
from raylax.kernels.shards import Degree
from tests.support.batches import (
    Floats,
    Piece,
    batch_of,
    run,
)
from tests.support.family_checkpoints import write_family
from tests.support.shards import Ranks, bits, ranks_of

LENGTH = 40
PROMPT = np.random.default_rng(5).integers(0, 99, LENGTH).tolist()
OTHERS = np.random.default_rng(6).integers(0, 99, (3, 20)).tolist()
DEGREES = [Degree(2), Degree(4), Degree(1, 2), Degree(2, 2)]


def options(quantization: str, degree: Degree, threads: int = 1) -> ModelOptions:
    return ModelOptions(quantization, "auto", "cpu", None, threads, 64, 8, 128, degree)


def answers(ranks: Ranks) -> list[Floats]:
    """A prompt in two chunks beside others, then a token more of each."""
    rest = [Piece(other, 0, [8 + 2 * i, 9 + 2 * i]) for i, other in enumerate(OTHERS)]
    first = ranks.step(Piece(PROMPT[:17], 0, [0, 1]), *rest[:1])
    second = ranks.step(*rest[1:], Piece(PROMPT[17:], 17, [0, 1, 2]))
    third = ranks.step(Piece([7], LENGTH, [0, 1, 2]), Piece([8], 20, [8, 9]))
    return [first, second, third]


@pytest.mark.parametrize("degree", DEGREES, ids=str)
def test_every_degree_has_the_logits_of_one_rank(uneven: Path, store: Path, degree: Degree) -> None:
    """In f32 to 1e-5, relative to the largest logit; stages alone change no bit."""
    with ranks_of(uneven, options("q0f32", Degree()), 16, store) as one:
        wanted = answers(one)
    with ranks_of(uneven, options("q0f32", degree), 16, store) as ranks:
        found = answers(ranks)

    for want, got in zip(wanted, found, strict=True):
        assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()
        if degree.tensor == 1:
            assert np.array_equal(bits(got), bits(want))


@pytest.mark.parametrize(
    "family", ["gemma3", "starcoder2", "qwen2-moe", "qwen3-moe-dense", "glm4-moe", "gpt-oss"]
)
def test_families_are_shared_as_llama_is(family: str, tmp_path: Path, store: Path) -> None:
    """Norms behind what the shards have added up, local layers in stages, biases, no gates; experts
    by number, those of other ranks left out, with an MLP beside them or in their place."""
    path = write_family(tmp_path, family)
    with ranks_of(path, options("q0f32", Degree()), 16, store) as one:
        wanted = answers(one)
    with ranks_of(path, options("q0f32", Degree(2, 2)), 16, store) as ranks:
        found = answers(ranks)

    for want, got in zip(wanted, found, strict=True):
        assert np.abs(got - want).max() <= 2e-5 * np.abs(want).max()


@pytest.mark.parametrize(
    ("quantization", "threads", "tolerance"),
    [
        ("q0bf16", [1, 2], 2e-2),
        ("q0f16", [1], 2e-2),
        ("w8a8", [1], 5e-2),
        ("q4f32_1", [1], 2e-2),
    ],
)
def test_shards_have_the_same_bits_in_every_run_and_batch(
    checkpoint: Path, store: Path, quantization: str, threads: list[int], tolerance: float
) -> None:
    """Law 1 at degree 2: a prompt at once, or in chunks beside others.

    They stay close to one rank's: sums in two parts round otherwise, and activations that are
    rounded next may tip over.
    """
    whole = load_model(checkpoint, options(quantization, Degree(), 2), 16, store)
    want = run(whole, Piece(PROMPT, 0, [0, 1, 2]))
    found = []
    for count in threads:
        with ranks_of(checkpoint, options(quantization, Degree(2), count), 16, store) as ranks:
            found.append(ranks.step(Piece(PROMPT, 0, [3, 4, 5]))[0])
            found.append(answers(ranks)[1][-1])
            hidden = [model.hidden(8).copy() for model in ranks.models]

        assert np.array_equal(bits(hidden[0]), bits(hidden[1]))
    for other in found[1:]:
        assert np.array_equal(bits(found[0]), bits(other))
    assert np.abs(found[0] - want).max() <= tolerance * np.abs(want).max()


def test_a_ranks_experts_have_the_same_bits_in_every_batch(tmp_path: Path, store: Path) -> None:
    """Whatever rows of others an expert computes beside, and whichever rank it is of."""
    path = write_family(tmp_path, "glm4-moe")
    with ranks_of(path, options("w8a8", Degree(2), 2), 16, store) as ranks:
        alone = ranks.step(Piece(PROMPT, 0, [3, 4, 5]))[0]
        beside = answers(ranks)[1][-1]
        hidden = [model.hidden(8).copy() for model in ranks.models]

    assert np.array_equal(bits(alone), bits(beside))
    assert np.array_equal(bits(hidden[0]), bits(hidden[1]))


def test_the_time_at_meetings_is_that_of_what_begins_by_one(uneven: Path, store: Path) -> None:
    """And no more than the step took; a step without rows has none at the head."""
    with ranks_of(uneven, options("q0f32", Degree(2)), 16, store) as ranks:
        for rows in (1, 0):
            batch = batch_of([Piece(PROMPT, 0, [0, 1, 2])])
            batch = batch._replace(rows=batch.rows[:rows])
            for done in [
                thread.submit(model.step, batch)
                for thread, model in zip(ranks.threads, ranks.models, strict=True)
            ]:
                done.result(60)
            for model in ranks.models:
                took = model.seconds_by_operator()
                behind = sum(took.get(name, 0.0) for name in BEHIND_MEETINGS)

                assert 0 < model.meeting_s() < sum(took.values())
                assert model.meeting_s() == pytest.approx(behind)
                assert ("argmax" in took) == bool(rows)


def test_a_group_that_is_over_holds_nobody(uneven: Path, store: Path) -> None:
    """A shard that waits for another is let go when the group's flag says so."""
    batch = batch_of([Piece(PROMPT, 0, [0, 1, 2])])
    with ranks_of(uneven, options("q0f32", Degree(2)), 16, store) as ranks:
        first = ranks.models[0]
        waiting = ranks.threads[0].submit(first.run_layers, batch)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.2)
        first.seat.shared["flags"][-1, 0] = 1

        waiting.result(timeout=5)


@pytest.mark.parametrize(
    ("degree", "words"),
    [
        (Degree(3), "must divide the attention heads.*found 3 for 4 heads and 2 KV heads"),
        (Degree(1, 4), "at most the 3 layers of the model, found 4"),
    ],
)
def test_a_degree_that_does_not_fit_is_refused(uneven: Path, degree: Degree, words: str) -> None:
    """Before anything is compiled."""
    with pytest.raises(CompileError, match=words):
        load_model(uneven, options("q0f32", degree), 16)
