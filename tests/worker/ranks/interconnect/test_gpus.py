"""Who may meet on GPUs."""

import pytest

from raylax.worker.comm.errors import CommError
from raylax.worker.ranks.interconnect.gpus import Chip, check_alike

H100, SMALLER, A100 = Chip((9, 0), 132), Chip((9, 0), 114), Chip((8, 0), 108)


def test_gpus_that_are_alike_may() -> None:
    check_alike([H100] * 4)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (A100, "rank 2 has compute capability 8.0 with 108 multiprocessors"),
        (SMALLER, "rank 2 has compute capability 9.0 with 114 multiprocessors"),
    ],
)
def test_others_would_launch_other_steps(other: Chip, said: str) -> None:
    with pytest.raises(CommError, match=f"GPUs of one kind: rank 0 has .* 132 .*, {said}"):
        check_alike([H100, H100, other])
