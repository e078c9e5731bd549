"""Traces as they are published, and the arrivals made of them."""

import gzip
import json
from pathlib import Path

import pytest

from raylax.cluster.errors import UserError
from raylax.cluster.simulate.trace import Arrival, Shape, arrivals, own_rate, read_trace

TABLE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:05.9799600,3180,8
"""
LINES = [
    {"timestamp": 3000, "input_length": 700, "output_length": 5, "hash_ids": [7, 8]},
    {"timestamp": 0, "input_length": 1024, "output_length": 6, "hash_ids": [7, 9]},
]
TRACE = [Arrival(float(second), 100, 5, (second,)) for second in range(101)]


def test_a_table_of_azures(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(TABLE)

    assert read_trace(path) == [Arrival(0.0, 4808, 10), Arrival(2.0, 3180, 8)]


def test_lines_of_mooncakes_packed(tmp_path: Path) -> None:
    """In order of time; a block that is not full has no name that others could find."""
    path = tmp_path / "trace.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, LINES)).encode()))

    assert read_trace(path) == [Arrival(0.0, 1024, 6, (7, 9)), Arrival(3.0, 700, 5, (7,))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "not a trace of Azure's or Mooncake's"),
        ("{}\n", "not a trace of Azure's or Mooncake's"),
        (json.dumps({**LINES[0], "timestamp": None}), "not a trace of Azure's or Mooncake's"),
        (json.dumps({**LINES[0], "hash_ids": 7}), "not a trace of Azure's or Mooncake's"),
        (json.dumps(LINES[0]) + "\n[1]\n", "not a trace of Azure's or Mooncake's"),
        (json.dumps({**LINES[0], "timestamp": float("nan")}), "times must be finite numbers"),
        (TABLE + "2023-11-16 18:17:04\n", "not a trace of Azure's or Mooncake's"),
        (TABLE.rsplit("\n", 2)[0], "a trace needs two requests at different times, found 1"),
    ],
)
def test_what_is_no_trace(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(text)

    with pytest.raises(UserError, match=said):
        read_trace(path)


def test_a_packed_trace_that_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "trace.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00" + b"a" * 20)

    with pytest.raises(UserError, match="not a trace of Azure's or Mooncake's: Error -3 while"):
        read_trace(path)


def test_a_trace_that_is_not_there() -> None:
    with pytest.raises(UserError, match=r"/no/trace\.csv: cannot be read: No such file"):
        read_trace(Path("/no/trace.csv"))


@pytest.mark.parametrize("shape", ["superposed", "compressed"])
@pytest.mark.parametrize("rate", [0.5, 3.7, 40.0])
def test_they_come_at_the_rate_asked_for(shape: Shape, rate: float) -> None:
    rows = arrivals(TRACE, rate, 80, shape, seed=0)

    assert len(rows) == 80
    assert rows == sorted(rows, key=lambda row: row.at)
    assert own_rate(rows) == pytest.approx(rate, rel=0.15)


def test_the_seed_decides_and_nothing_else() -> None:
    assert arrivals(TRACE, 9.0, 80, "superposed", 1) == arrivals(TRACE, 9.0, 80, "superposed", 1)
    assert arrivals(TRACE, 9.0, 80, "superposed", 1) != arrivals(TRACE, 9.0, 80, "superposed", 2)


def test_copies_share_nothing_with_each_other() -> None:
    """All names of five copies differ, since those of one copy do."""
    rows = arrivals(TRACE, 5.0, 10_000, "superposed", 0)

    assert len(rows) == 505
    assert len({row.names for row in rows}) == 505
