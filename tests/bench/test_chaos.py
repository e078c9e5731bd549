"""`bench/chaos.py`: a third of a minute of losses, and no answer is lost, told twice or another
one."""

import pytest

from tests.support.bench_commands import finished

PATIENCE_S = 400


@pytest.mark.timeout(PATIENCE_S + 60)  # workers start slowly on a busy machine
def test_every_answer_survives_a_third_of_a_minute_of_losses() -> None:
    """Workers are killed, stopped, drained, slowed and cut off, one every three seconds: who loses
    three of them is taken for what ends them, and on a busy machine answers take long. Half of
    the answers have a form."""
    code, out, errors = finished(
        "chaos.py", "--seconds", 24, "--every", 3, "--requests", 100, "--formed", 0.5,
        patience_s=PATIENCE_S,
    )  # fmt: skip

    assert code == 0, out + errors
    assert "│ 0    │ 0         │ 0        │" in out
