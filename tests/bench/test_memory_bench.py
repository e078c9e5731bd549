"""`bench/memory.py`: two engines share what they map."""

import re
from pathlib import Path

import pytest

from tests.support.bench_commands import finished


def test_two_engines_share_their_weights(tiny: Path) -> None:
    """Each has them resident, and both together have them once."""
    code, out, errors = finished("memory.py", tiny, "--threads", 2)
    assert (code, errors) == (0, "")

    rows = {
        name: [float(figure) for figure in re.findall(r"[\d.]+", rest)]
        for name, rest in re.findall(r"│ (one alone|both together) +│(.*)", out)
    }
    *alone, loaded_s = rows["one alone"]
    both = rows["both together"]
    packed = (tiny / "model.safetensors").stat().st_size / (1 << 20)
    assert alone[2:] == pytest.approx([packed, packed], abs=1)
    assert both[2:] == pytest.approx([2 * packed, packed], abs=1)
    assert both[1] < both[0]
    assert 0 < loaded_s < 60
