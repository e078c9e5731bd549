"""What prefills take, by what stands before them."""

from itertools import product

import pytest

from raylax.worker.scheduling.pace.prefill_time import PrefillTime, pairs


def test_pairs_add_up_however_a_prompt_is_cut() -> None:
    whole = pairs(96, 0)

    assert pairs(32, 0) + pairs(64, 32) == whole
    assert sum(pairs(1, before) for before in range(96)) == whole


@pytest.mark.parametrize(
    ("token", "pair", "tokens", "before"),
    list(product((0.0, 1e-3), (0.0, 1e-6, 1e-4), (1, 16, 500), (0, 7, 4000))),
)
def test_tokens_within_their_own_seconds(
    token: float, pair: float, tokens: int, before: int
) -> None:
    """As many as take so long, for every prompt and every pace."""
    time = PrefillTime(token, pair)
    if not any(time):
        return
    seconds = time.seconds(tokens, pairs(tokens, before))

    assert time.tokens_within(seconds, before) == pytest.approx(tokens)


def test_deep_in_a_prompt_there_are_fewer() -> None:
    time = PrefillTime(1e-3, 1e-6)

    assert time.tokens_within(0.1, 3000) < time.tokens_within(0.1, 0) / 3
