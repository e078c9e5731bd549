"""What a head is given: streams of the tokens that the model has computed, and that count."""

import numpy as np
import pytest

from raylax.kernels.heads.base import HeadOutput
from raylax.kernels.model import Floats, Ints
from raylax.proto.vocabulary import Request, Sampling
from raylax.worker.scheduling.drafting.base import Seen, proposal_of
from raylax.worker.scheduling.drafting.heads import MOST_KEPT, HeadModel, KeptStreams, of_base
from raylax.worker.scheduling.sequence import Sequence
from tests.support.drafting import SummingHead


def streams(first: int, count: int) -> Floats:
    """Each tells its number."""
    return np.arange(first, first + count, dtype=np.float32)[:, None]


def of_tokens(tokens: Ints) -> Floats:
    return tokens.astype(np.float32)[:, None]


def sequence(id: str, length: int, computed: int) -> Sequence:
    one = Sequence(Request(id, (1,) * length, 50, Sampling(temperature=0.0)))
    one.computed = computed
    return one


def test_what_was_drafted_and_not_drawn_does_not_count() -> None:
    """Of three tokens and two drafted ones the first of these was right; a chunk counts whole."""
    model = HeadModel(SummingHead(4, 7), of_tokens, 24, 100)
    drafted, chunk = sequence("a", 11, 10), sequence("b", 30, 0)
    model.follow([Seen(drafted, 0, 2, 1), Seen(chunk, 3, 5, None)])
    kept = [proposal_of(one).streams for one in (drafted, chunk)]
    assert all(isinstance(one, KeptStreams) for one in kept)

    assert [(one.at, one.end) for one in kept] == [(10, 12), (0, 5)]  # type: ignore[attr-defined]
    assert model.features(drafted, 10).tolist() == [[0], [1]]
    assert model.features(chunk, 3).tolist() == [[6], [7]]
    assert model.first(chunk) == 3


def test_who_has_no_streams_has_no_inputs() -> None:
    model = HeadModel(SummingHead(4, 7), of_tokens, 24, 100)
    one = sequence("a", 11, 10)
    assert model.first(one) == 11
    model.follow([Seen(one, 0, 1, 0)])
    assert model.first(one) == 10
    proposal_of(one).give_back()

    assert model.first(one) == 11


@pytest.mark.parametrize("piece", [1, 7, MOST_KEPT, MOST_KEPT + 40])
def test_the_last_ones_are_kept(piece: int) -> None:
    """So many at least, and no more than a piece more; no others are asked for."""
    asked, end, one = list[int](), 0, sequence("a", 4 * MOST_KEPT, 0)

    def tapped(tokens: Ints) -> Floats:
        asked.append(len(tokens))
        return streams(one.computed + int(tokens[0]), len(tokens))

    model = HeadModel(SummingHead(4, 7), tapped, 24, 100)
    while end < 3 * MOST_KEPT:
        one.computed, end = end, end + piece
        model.follow([Seen(one, 0, piece, None)])
    kept = proposal_of(one).streams
    assert isinstance(kept, KeptStreams)

    assert kept.end == end
    assert max(asked) <= MOST_KEPT
    assert MOST_KEPT <= kept.end - kept.at < MOST_KEPT + min(piece, MOST_KEPT)
    assert kept.since(end - 5)[:, 0].tolist() == list(range(end - 5, end))
    assert kept.at == end - 5


def test_what_does_not_follow_takes_the_place_of_the_rest() -> None:
    kept = KeptStreams()
    kept.add(0, streams(0, 5))
    kept.add(9, streams(9, 2))

    assert (kept.at, kept.end) == (9, 11)


def test_a_head_never_says_what_it_cannot_name() -> None:
    tokens = np.array([1, 4], np.int32)
    logits = np.array([[0.5, 2.0]], np.float32)
    largest = np.array([2.0], np.float32)
    said = of_base(HeadOutput(logits, tokens, np.array([4], np.int32), largest, logits), 6)

    assert said.logits.tolist() == [[-np.inf, 0.5, -np.inf, -np.inf, 2.0, -np.inf]]
    assert (said.drawn.tolist(), said.largest.tolist()) == ([4], [2.0])
