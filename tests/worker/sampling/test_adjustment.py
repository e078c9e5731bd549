"""Bias and penalties: what they come to, told at once or one by one."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

from raylax.proto.vocabulary import Sampling
from raylax.worker.sampling.adjustment import Adjustment, Logits
from tests.support.draws import adjusted, changed

RNG = np.random.default_rng(5)
LOGITS: Logits = RNG.normal(0, 2, 60).astype(np.float32)
ALL = Sampling(
    repetition_penalty=1.3,
    presence_penalty=0.7,
    frequency_penalty=-0.3,
    logit_bias=((3, 4.5), (59, -100.0)),
)


def by_definition(
    logits: Logits, sampling: Sampling, tokens: Sequence[int], prompt: int
) -> list[float]:
    """One token after the other, from all tokens at once."""
    out = logits.copy()
    for token, bias in sampling.logit_bias:
        out[token] += bias
    penalty = np.float32(sampling.repetition_penalty)
    for token in set(tokens):
        out[token] = out[token] / penalty if out[token] > 0 else out[token] * penalty
    for token in set(tokens[prompt:]):
        often = np.float32(tokens[prompt:].count(token))
        out[token] -= np.float32(sampling.presence_penalty)
        out[token] -= np.float32(sampling.frequency_penalty) * often
    return list(out.tolist())


@pytest.mark.parametrize(
    "sampling", [ALL, Sampling(repetition_penalty=0.5), Sampling(frequency_penalty=2.0)]
)
def test_token_by_token_is_bit_for_bit_the_definition(sampling: Sampling) -> None:
    """And so is a sequence that goes on elsewhere, which is told of everything at once."""
    tokens, prompt = RNG.integers(0, 60, 200).tolist(), 30
    kept = Adjustment(sampling, prompt)
    for length in range(prompt, len(tokens)):
        kept.tell(tokens[:length])
        want = by_definition(LOGITS, sampling, tokens[:length], prompt)

        assert changed(LOGITS, sampling, kept.entries).tolist() == want
        if length % 40 == 0:
            assert adjusted(LOGITS, sampling, tokens[:length], prompt).tolist() == want


def test_entries_are_counted_up_where_they_are() -> None:
    """So whoever keeps a copy of them is told of what is new alone."""
    kept = Adjustment(ALL, 2)
    kept.tell([5, 3])
    kept.tell([5, 3, 9, 5, 9])
    ids, biases, counts = kept.entries

    assert ids.tolist() == [3, 59, 5, 9]
    assert biases.tolist() == [4.5, -100, 0, 0]
    assert counts.tolist() == [0, -1, 1, 2]
    assert Adjustment(Sampling(), 2).entries.ids.tolist() == []


def test_penalties() -> None:
    """Repetition divides what is positive and multiplies what is negative, prompt included;
    presence and frequency are of the answer."""
    logits = np.array([2.0, -2.0, 2.0, 2.0, 2.0], np.float32)
    tokens, prompt = [0, 1, 3, 3, 4], 2

    def after(sampling: Sampling) -> list[float]:
        return [round(float(x), 4) for x in adjusted(logits, sampling, tokens, prompt)]

    assert after(Sampling(repetition_penalty=2.0)) == [1.0, -4.0, 2.0, 1.0, 1.0]
    assert after(Sampling(presence_penalty=0.5)) == [2.0, -2.0, 2.0, 1.5, 1.5]
    assert after(Sampling(frequency_penalty=0.5)) == [2.0, -2.0, 2.0, 1.0, 1.5]
    assert after(Sampling(frequency_penalty=-1.0)) == [2.0, -2.0, 2.0, 4.0, 3.0]
    assert logits.tolist() == [2.0, -2.0, 2.0, 2.0, 2.0]


def test_penalties_before_anything_was_said() -> None:
    early = Sampling(presence_penalty=1.0, frequency_penalty=1.0)

    assert adjusted(LOGITS, early, [1, 2, 3], 3).tolist() == LOGITS.tolist()


def test_what_would_follow_a_draft_is_not_kept() -> None:
    kept = Adjustment(ALL, 2)
    kept.tell([5, 3, 9])
    before, after = kept.entries, kept.after([9, 8]).entries
    kept.tell([5, 3, 9, 9, 8])

    assert [part.tolist() for part in after] == [part.tolist() for part in kept.entries]
    assert before.counts.tolist() != after.counts.tolist()
    assert len(before.ids) == len(after.ids) - 1


def test_a_token_costs_the_same_however_many_came_before() -> None:
    """All different ones, of a long prompt and its answer."""
    kept, tokens = Adjustment(ALL, 20_000), list(range(40_000))
    begun = time.process_time()
    kept.tell(tokens[:20_000])
    kept.tell(tokens)

    assert time.process_time() - begun < 2


def test_the_largest_logits_stay_finite() -> None:
    logits = np.array([3e38, -3e38, 1.0], np.float32)

    for penalty in (0.01, 10.0):
        after = adjusted(logits, Sampling(repetition_penalty=penalty), [0, 1, 2], 1)
        assert np.isfinite(after).all()
