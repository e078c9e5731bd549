"""Plans: where each token lies, and whose logits are wanted."""

from array import array

from raylax.proto.vocabulary import Request
from raylax.worker.plan import StepPlan, make_plan
from raylax.worker.sequence import Sequence


def running(tokens: list[int], computed: int, pages: list[int]) -> Sequence:
    one = Sequence(Request("r", tuple(tokens), 9))
    one.computed, one.pages = computed, array("i", pages)
    return one


def lists(plan: StepPlan) -> dict[str, list[int]]:
    return {name: value.tolist() for name, value in plan.arguments().items()}


def test_a_decode_a_chunk_and_the_end_of_a_prefill() -> None:
    """One step for all; the chunk, which is not at its end, has no row."""
    decode = running(list(range(100, 118)), 17, [5, 3])
    chunk = running(list(range(200, 250)), 14, [9, 7, 8, 2])
    end = running([300, 301], 0, [6])
    plan = make_plan(4, [(decode, 1), (chunk, 3), (end, 2)])

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
    plan = make_plan(1, [(running([1, 2, 3], 0, [0]), 3), (running([1] * 40, 0, [1, 2, 3]), 7)])

    assert {str(value.dtype) for value in plan.arguments().values()} == {"int32"}


def test_nobody_at_its_end() -> None:
    plan = make_plan(1, [(running([1] * 40, 0, [1, 2, 3]), 7)])

    assert plan.rows.tolist() == []
