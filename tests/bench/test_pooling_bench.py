"""What a mean costs, as a command."""

import re
from pathlib import Path

from tests.support.bench_commands import finished

RATES = r": last \d+, mean \d+, \d+\.\d\dx\n"


def test_it_compares_texts_apart_and_texts_that_share(checkpoint: Path) -> None:
    small = ("--texts", 2, "--shared", 32, "--own", 9, "--rounds", 1)
    code, out, errors = finished("pooling.py", checkpoint, *small)

    assert code == 0, errors
    assert re.fullmatch(
        rf"tokens/s of 2 texts of 32 \+ 9 tokens\nnothing shared{RATES}shared{RATES}", out
    )
