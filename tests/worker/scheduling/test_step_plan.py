"""Plans: where each token lies, and whose logits are wanted."""

from array import array
from typing import Any

import numpy as np
import pytest

from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.sampling.adjustment import Adjustment
from raylax.worker.sampling.rules import rule_of
from raylax.worker.scheduling.outcomes import draws_for
from raylax.worker.scheduling.sequence import Sequence
from raylax.worker.scheduling.step_plan import StepPlan, Work, make_plan


def running(tokens: list[int], computed: int, pages: list[int]) -> Sequence:
    one = Sequence(Request("r", tuple(tokens), 9))
    one.computed, one.pages = computed, array("i", pages)
    return one


def lists(plan: StepPlan) -> dict[str, list[Any]]:
    return {name: value.tolist() for name, value in plan.batch._asdict().items() if name != "draws"}


def test_a_decode_a_chunk_and_the_end_of_a_prefill() -> None:
    """One step for all; the chunk, which is not at its end, has no row."""
    decode = running(list(range(100, 118)), 17, [5, 3])
    chunk = running(list(range(200, 250)), 14, [9, 7, 8, 2])
    end = running([300, 301], 0, [6])
    plan = make_plan(4, [(decode, 1, 1), (chunk, 3, 0), (end, 2, 1)])

    assert plan.number == 4
    assert lists(plan) == {
        "tokens": [117, 214, 215, 216, 300, 301],
        "positions": [17, 14, 15, 16, 0, 1],
        "slots": [3 * 16 + 1, 9 * 16 + 14, 9 * 16 + 15, 7 * 16, 6 * 16, 6 * 16 + 1],
        "query_starts": [0, 1, 4, 6],
        "kv_lengths": [18, 17, 2],
        "page_table": [[5, 3, 0, 0], [9, 7, 8, 2], [6, 0, 0, 0]],
        "rows": [0, 5],
    }


def test_kernels_get_the_integers_they_read() -> None:
    whole, chunk = running([1, 2, 3], 0, [0]), running([1] * 40, 0, [1, 2, 3])
    plan = make_plan(1, [(whole, 3, 1), (chunk, 7, 0)])

    assert {value.dtype.name for value in plan.batch if isinstance(value, np.ndarray)} == {"int32"}


def test_nobody_at_its_end() -> None:
    plan = make_plan(1, [(running([1] * 40, 0, [1, 2, 3]), 7, 0)])

    assert plan.batch.rows.tolist() == []


def sequences() -> list[Work]:
    """Two decodes, a chunk and the end of a prefill: 66 tokens."""
    return [
        (running(list(range(18)), 17, [5, 3]), 1, 1),
        (running([7] * 60, 14, [9, 7, 8, 2]), 40, 0),
        (running([8] * 24, 0, [6, 1]), 24, 1),
        (running([9] * 33, 32, [4, 10, 11]), 1, 1),
    ]


def test_a_plan_that_was_sent_is_the_same_plan() -> None:
    plan = make_plan(1 << 40, sequences())
    copy = StepPlan.decode(plan.encode())

    assert copy.number == plan.number
    assert lists(copy) == lists(plan)


def test_pieces_compute_every_token_once_and_see_what_the_whole_plan_sees() -> None:
    """A chunk that is cut sees, in its first part, no key of its second."""
    plan = make_plan(1, sequences())
    first, second = plan.pieces(2)

    assert lists(first)["query_starts"] == [0, 1, 33]
    assert lists(first)["kv_lengths"] == [18, 46]
    assert lists(first)["rows"] == [0]
    assert lists(second)["query_starts"] == [0, 8, 32, 33]
    assert lists(second)["kv_lengths"] == [54, 24, 33]
    assert lists(second)["rows"] == [31, 32]
    assert lists(second)["page_table"] == [[9, 7, 8, 2], [6, 1, 0, 0], [4, 10, 11, 0]]
    for name in ("tokens", "positions", "slots"):
        assert lists(first)[name] + lists(second)[name] == lists(plan)[name]


def test_a_sequence_may_want_rows_of_its_last_tokens() -> None:
    """As many as it says, in the order of its tokens, before those of the next sequence."""
    verified = running(list(range(20)), 15, [5, 3])
    chunk = running([7] * 60, 0, [9, 7, 8, 2])
    plan = make_plan(1, [(verified, 5, 4), (chunk, 30, 0), (running([8, 9], 0, [6]), 2, 2)])

    assert plan.batch.rows.tolist() == [1, 2, 3, 4, 35, 36]
    assert lists(StepPlan.decode(plan.encode())) == lists(plan)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_every_row_is_in_the_piece_of_its_token(count: int) -> None:
    """Also where a cut goes through the rows of one sequence: one after the other, the pieces' rows
    are the plan's."""
    whole, decode = running([7] * 60, 0, [9, 7, 8, 2]), running([1, 2], 1, [3])
    plan = make_plan(1, [(decode, 1, 1), (whole, 60, 60), (running([8, 9], 0, [6]), 2, 2)])
    at, found = 0, list[int]()
    for piece in plan.pieces(count):
        found += (piece.batch.rows + at).tolist()
        assert all(0 <= row < len(piece.batch.tokens) for row in piece.batch.rows)
        at += len(piece.batch.tokens)

    assert found == plan.batch.rows.tolist() == list(range(63))


def test_a_small_plan_is_not_cut() -> None:
    """Each piece would read all weights."""
    plan = make_plan(1, [(running([1] * 31, 0, [0, 1]), 31, 1)])

    assert [lists(piece) for piece in plan.pieces(4)] == [lists(plan)]


def test_how_rows_are_drawn_is_part_of_the_plan() -> None:
    """Also what is changed before: any rank may be the one that draws (law 4)."""
    works = sequences()
    biased = Sampling(logit_bias=((4, 2.0), (9, -1.5)), seed=8)
    works[0][0].rule = rule_of(Request("r", (1,), 9, biased))
    works[0][0].adjustment = Adjustment(biased, 1)
    draws = draws_for(works)
    assert draws is not None
    copy = StepPlan.decode(make_plan(1, works, draws).encode()).batch.draws

    assert copy is not None
    assert [values.tolist() for values in copy] == [values.tolist() for values in draws]
    assert copy.rules["changes"].tolist() == [2, 0, 0]
