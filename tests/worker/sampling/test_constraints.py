"""What a request rules out: for the whole answer, and at each point of it."""

import numpy as np
import pytest

from raylax.proto.vocabulary import Request, Sampling, ThinkingLimit
from raylax.worker.sampling.constraints import Constraints, NothingLeft, check_left, only

PROMPT = (5, 6, 7)
VOCAB = 70


def of(sampling: Sampling, ends: tuple[int, ...] = ()) -> Constraints:
    return Constraints(Request("r", PROMPT, 9, sampling, stop_token_ids=frozenset(ends)))


def allowed(sampling: Sampling) -> list[int]:
    mask = of(sampling).mask(VOCAB)
    assert mask is not None
    bits = np.unpackbits(mask.view(np.uint8), count=VOCAB, bitorder="little")
    return np.flatnonzero(bits).tolist()


def test_only_what_is_allowed_is_in_the_mask() -> None:
    assert allowed(Sampling(allowed_token_ids=(0, 31, 32, 69))) == [0, 31, 32, 69]
    assert of(Sampling()).mask(VOCAB) is None


def test_a_word_of_one_token_is_in_no_mask() -> None:
    assert allowed(Sampling(bad_words=((3,), (64,)))) == [*range(3), *range(4, 64), *range(65, 70)]
    assert allowed(Sampling(allowed_token_ids=(3, 4), bad_words=((3,),))) == [4]


@pytest.mark.parametrize(
    ("answer", "draft", "forbidden"),
    [
        ([], [], []),
        ([1], [], [2]),
        ([1, 2], [], []),
        ([1, 2, 3], [], [4]),
        ([9, 1, 2, 3], [], [4]),
        ([1, 2], [3], [4]),
        ([], [1, 2, 3], [4]),
        ([9], [9, 1, 2, 3], [4]),
        ([2, 3], [], []),
        ([3, 2, 3], [], []),
    ],
)
def test_the_last_token_of_a_phrase_is_forbidden_behind_the_others(
    answer: list[int], draft: list[int], forbidden: list[int]
) -> None:
    """Whether they were said or only drafted; what the prompt says does not count."""
    sampling = Sampling(bad_words=((1, 2), (1, 2, 3, 4), (7, 1), (7, 8)))

    assert of(sampling).forbidden([*PROMPT, *answer], draft) == forbidden


def test_nothing_ends_an_answer_that_is_too_short() -> None:
    made = of(Sampling(min_tokens=2), ends=(4, 3))
    found = [made.forbidden([*PROMPT, *answer], draft) for answer, draft in
             (([], []), ([1], []), ([], [1]), ([1], [1]), ([1, 1], []))]  # fmt: skip

    assert found == [[3, 4], [3, 4], [3, 4], [], []]


def test_what_can_only_end_may_be_too_short() -> None:
    made = of(Sampling(min_tokens=2), ends=(4, 3))

    assert made.forbidden(PROMPT, (), only(3, VOCAB)) == []
    assert made.forbidden(PROMPT, (), only(3, VOCAB) | only(4, VOCAB)) == []
    assert made.forbidden(PROMPT, (), only(3, VOCAB) | only(69, VOCAB)) == [3, 4]


@pytest.mark.parametrize("token", [0, 31, 32, 69])
def test_what_leaves_nothing_is_said(token: int) -> None:
    mask = only(token, VOCAB)
    check_left(mask, [1, 2, 1000])
    check_left(None, [token])

    for left, forbidden in ((mask, [1, token]), (mask & only(5, VOCAB), [])):
        with pytest.raises(NothingLeft, match="exclude each other"):
            check_left(left, forbidden)


@pytest.mark.parametrize(
    ("answer", "draft", "forced"),
    [
        ([8, 1], [], None),
        ([8, 1, 1], [], 4),
        ([8, 1], [1], 4),
        ([8, 1, 1, 4], [], 5),
        ([8], [1, 1, 4], 5),
        ([8, 1, 1, 4, 5], [], None),
        ([8, 1, 4], [], None),
        ([8, 1, 4, 1], [], None),
        ([1, 1, 1], [], None),
        ([], [], None),
    ],
)
def test_a_thought_that_is_too_long_is_ended(
    answer: list[int], draft: list[int], forced: int | None
) -> None:
    """Behind its budget, token by token, unless it has ended, or the answer does not think."""
    made = of(Sampling(thinking=ThinkingLimit(2, (8,), closed_by=4, close=(4, 5))))

    assert made.active
    assert made.forced([*PROMPT, *answer], draft) == forced
    assert of(Sampling()).forced([*PROMPT, *answer], draft) is None


@pytest.mark.parametrize("token", [0, 31, 32, 63, 69])
def test_a_mask_of_one_token(token: int) -> None:
    bits = np.unpackbits(only(token, VOCAB).view(np.uint8), count=VOCAB, bitorder="little")

    assert np.flatnonzero(bits).tolist() == [token]
