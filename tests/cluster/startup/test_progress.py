"""What is seen of a start where nobody sees lines change."""

import io
import time

import pytest
from rich.console import Console

from raylax.cluster.startup.progress import AGAIN_S, Steps


def test_a_step_is_said_once_and_how_far_it_is_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Notes are said as they are."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    out = io.StringIO()
    with Steps(Console(file=out, width=200)) as steps:
        audience = steps.audience("model")
        audience.note("[org/name]: 3 files")
        for now in (1.0, 2.0, 3.0 + AGAIN_S, 4.0 + AGAIN_S):
            audience.step("downloading", now / 20)
        steps.show("model", "[packing]")

    assert out.getvalue().splitlines() == [
        "[org/name]: 3 files",
        "[  1.0 s] downloading",
        "[ 13.0 s] downloading, 65%",
        "[ 14.0 s] [packing]",
    ]
