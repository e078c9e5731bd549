"""`bench/allreduce.py`: every backend that needs nothing but us, and what it says of gloo."""

import json
import sys
from pathlib import Path

from tests.support.bench_commands import finished

SIZES = ["8 KB", "64 KB", "1 MB"]


def test_every_backend_is_measured(tmp_path: Path) -> None:
    """A median at most the 90th percentile, at each size, in the table and in the file."""
    written = tmp_path / "figures.json"
    backends = ["threads", "shared", "tcp"]
    options = ("--backends", *backends, "--rounds", 1, "--json", written)
    code, out, errors = finished("allreduce.py", *options)
    assert (code, errors) == (0, "")

    found = json.loads(written.read_text())
    assert list(found["us"]) == backends
    for backend in backends:
        assert backend in out
        assert list(found["us"][backend]) == SIZES
        for figures in found["us"][backend].values():
            assert 0 < figures["median"] <= figures["p90"]


def test_a_python_without_torch() -> None:
    """Is said in a line."""
    options = ("--backends", "shared", "--torch-python", sys.executable)
    code, out, errors = finished("allreduce.py", *options)

    assert (code, out) == (1, "")
    assert errors == "gloo: ModuleNotFoundError: No module named 'torch'\n"
