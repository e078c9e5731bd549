"""What a router's next report says of what happened since the last one."""

import pytest

from raylax.proto.pb import engine_pb2 as pb
from raylax.proto.vocabulary import Delta, Finish, Load
from raylax.worker.kv.page_pool import PageChanges
from raylax.worker.serving.step_report import NextReport, SessionRequest


def taken(report: NextReport, requests_taken_up: int = 0) -> pb.StepReport:
    return report.take(Load(taken=requests_taken_up), age_s=0.0, routers=1)


@pytest.mark.parametrize(
    ("changes", "added", "removed"),
    [
        ([PageChanges(added=(1, 2)), PageChanges(removed=(1,))], [2], [1]),
        ([PageChanges(removed=(1,)), PageChanges(added=(1,))], [1], []),
    ],
)
def test_a_page_that_came_and_went_is_told_as_it_is_now(
    changes: list[PageChanges], added: list[int], removed: list[int]
) -> None:
    """Of what became of it between two reports, the last counts."""
    report = NextReport([])
    taken(report)
    for one in changes:
        report.add_pages(one)
    pages = taken(report).pages

    assert (list(pages.added), list(pages.removed)) == (added, removed)


def test_the_first_report_names_all_pages_and_later_ones_what_changed() -> None:
    report = NextReport([1, 2])
    first, second = taken(report), taken(report)

    assert (list(first.pages.added), first.pages.snapshot) == ([1, 2], True)
    assert not second.HasField("pages")


def test_a_dispatch_is_received_once_the_engine_has_taken_it_up() -> None:
    """What is still on its way to the engine is not in the load, either."""
    report = NextReport([])
    report.add_dispatch(number=1, dispatch=7)
    report.add_dispatch(number=2, dispatch=8)

    assert [taken(report, up).received for up in (0, 1, 1, 2)] == [0, 7, 7, 8]


def test_tokens_that_may_travel_together_wait_for_each_other() -> None:
    """The first waits for nothing, and whoever ends takes along what has waited."""
    report, requests = NextReport([]), {"r": SessionRequest(dispatch=5, coalesce=3)}
    due = [report.add_deltas([Delta("r", (token,))], requests) for token in (1, 2, 3, 4)]
    first = taken(report)
    waits = report.add_deltas([Delta("r", (5,))], requests)
    end = report.add_deltas([Delta("r", (6,), finish=Finish.LENGTH)], requests)
    last = taken(report)

    assert due == [True, True, True, True]
    assert (list(first.continued), list(first.tokens)) == ([5], [1])
    assert [list(delta.token_ids) for delta in first.deltas] == [[2, 3, 4]]
    assert (waits, end) == (False, True)
    assert [list(delta.token_ids) for delta in last.deltas] == [[5, 6]]


def test_nothing_waits_any_longer_when_told_so() -> None:
    report, requests = NextReport([]), {"r": SessionRequest(dispatch=5, coalesce=64)}
    for token in (1, 2, 3):
        report.add_deltas([Delta("r", (token,))], requests)
    taken(report)
    report.add_held(requests)

    assert [list(delta.token_ids) for delta in taken(report).deltas] == [[2, 3]]
    assert not taken(report).deltas
