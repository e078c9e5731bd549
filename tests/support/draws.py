"""Draws for tests: a sequence's next token, as an engine gets it that has just heard of it."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from raylax.kernels.draws.rules import NO_RULE
from raylax.proto.vocabulary import Request, Sampling, TokenLogprobs
from raylax.worker.sampling.adjustment import Adjustment, Entries, Logits
from raylax.worker.sampling.rules import rule_of
from raylax.worker.sampling.sampler import (
    Outcome,
    Wish,
    check_finite,
    single_threaded,
)

sampler = cache(single_threaded)
"""Of this process: tests have one thread that draws."""
LARGEST = np.finfo(np.float32).max


def adjusted(logits: Logits, sampling: Sampling, tokens: Sequence[int], prompt: int) -> Logits:
    """The logits with bias and penalties for `tokens`, of which the first `prompt` are the
    prompt."""
    adjustment = Adjustment(sampling, prompt)
    adjustment.tell(tokens)
    return changed(logits, sampling, adjustment.entries)


def changed(logits: Logits, sampling: Sampling, entries: Entries) -> Logits:
    """What samplers make of logits, said plainly. What would exceed float32 by a repetition stays
    at its end."""
    out, (ids, biases, counts) = logits.copy(), entries
    values = out[ids] + biases
    if sampling.repetition_penalty != 1.0:
        penalty = np.float32(sampling.repetition_penalty)
        with np.errstate(over="ignore"):
            less = np.where(values > 0, values / penalty, values * penalty)
        values = np.where(counts >= 0, np.clip(less, -LARGEST, LARGEST), values)
    often = np.maximum(counts, 0).astype(np.float32)
    values -= np.float32(sampling.presence_penalty) * (often > 0)
    values -= np.float32(sampling.frequency_penalty) * often
    out[ids] = values
    return out


def wish_after(
    row: int, sampling: Sampling, choice: int, tokens: Sequence[int], prompt: int
) -> Wish:
    """For the token that follows `tokens`."""
    request = Request("r", tuple(tokens[:prompt]), 99, sampling, choice=choice)
    adjustment = Adjustment(sampling, prompt)
    adjustment.tell(tokens)
    position = len(tokens) - prompt
    return Wish(row, request, rule_of(request), position, adjustment.entries)


def outcome_after(
    logits: Logits, sampling: Sampling, choice: int, tokens: Sequence[int], prompt: int
) -> Outcome:
    """What comes of a row. Raises NotFinite."""
    wish = wish_after(0, sampling, choice, tokens, prompt)
    outcome = sampler().draw(logits[None], [wish])[0]
    check_finite(outcome.largest)
    return outcome


def drawn_after(
    logits: Logits, sampling: Sampling, choice: int, tokens: Sequence[int], prompt: int
) -> int:
    """The token that follows `tokens`. Raises NotFinite."""
    return outcome_after(logits, sampling, choice, tokens, prompt).token


def log_probabilities_of(logits: Logits, token: int, top: int) -> TokenLogprobs:
    """The token's own, and those of the likeliest ones."""
    sampling = Sampling(temperature=0.0, top_logprobs=top)
    request = Request("r", (1,), 9, sampling)
    wish = Wish(0, request, rule_of(request), NO_RULE, top_logprobs=top, token=token)
    found = sampler().draw(logits[None], [wish])[0].logprobs
    assert found is not None
    return found
