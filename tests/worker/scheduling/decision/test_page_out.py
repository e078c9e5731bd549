"""Which pages are put aside, in tables."""

from itertools import product

import pytest

from raylax.proto.pages import PAGE_SIZE
from raylax.worker.scheduling.decision.page_out import is_put_aside
from raylax.worker.scheduling.pace.prefill_time import PrefillTime

TIME, DEEP = PrefillTime(token=1e-3), PrefillTime(token=1e-3, pair=1e-5)


@pytest.mark.parametrize(
    ("tokens", "room", "page_s", "prefill", "aside"),
    [
        (160, 10, 0.0159, TIME, True),
        (160, 10, 0.0161, TIME, False),  # it is as soon computed
        (160, 9, 0.0159, TIME, False),  # there is no room
        (161, 10, 0.0001, TIME, False),
        (161, 11, 0.0001, TIME, True),
        (160, 10, 0.0161, DEEP, True),  # tokens that look at many others take longer
        (0, 10, 0.0001, TIME, False),
        (160, 10, 0.0001, PrefillTime(), False),  # it is not known what computing takes
        (160, 0, 0.0, TIME, False),
    ],
)
def test_pages_are_copied_where_that_takes_less(
    tokens: int, room: int, page_s: float, prefill: PrefillTime, aside: bool
) -> None:
    assert is_put_aside(tokens, room, page_s, prefill) == aside


def test_who_has_more_computed_is_put_aside_rather() -> None:
    """Of all lengths: once copying pays, it does so for all longer ones, up to the next page."""
    for page_s, token, pair in product((1e-3, 1e-2), (1e-4, 1e-3), (0.0, 1e-6)):
        time = PrefillTime(token, pair)
        pays = [is_put_aside(n, 10**6, page_s, time) for n in range(0, 4000, PAGE_SIZE)]

        assert pays == sorted(pays)
