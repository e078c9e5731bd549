"""A file of records that outlives its process, whatever becomes of the file."""

import os
from pathlib import Path

import pytest

from raylax.cluster.metrics.state_file import HEADER, StateFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def written(path: Path, numbers: range, most_bytes: int = 1 << 20) -> StateFile:
    file = StateFile(path, most_bytes)
    for number in numbers:
        file.append({"number": number})
    return file


def numbers(path: Path) -> list[int]:
    return [record["number"] for record in StateFile(path, 0).read()]


def test_what_was_written_is_read_in_order(path: Path) -> None:
    written(path, range(5)).close()
    written(path, range(5, 7)).close()

    assert numbers(path) == [*range(7)]


def test_the_first_record_of_a_file_is_told(path: Path) -> None:
    """For what else is to be known must stand in each."""
    file = StateFile(path, 1 << 20)

    assert [file.append({"number": number}) for number in range(3)] == [True, False, False]


@pytest.mark.parametrize("lost", [1, 5, HEADER.size + 1])
def test_a_torn_end_is_written_over(path: Path, lost: int) -> None:
    """As of a process that was killed while it wrote."""
    written(path, range(3)).close()
    os.truncate(path, path.stat().st_size - lost)
    written(path, range(10, 12)).close()

    assert numbers(path) == [0, 1, 10, 11]


@pytest.mark.parametrize("at", [0, 3, 4, 9, -1])
def test_a_damaged_record_ends_what_is_read(path: Path, at: int) -> None:
    """Its length, its checksum or its content; nothing wrong is read."""
    written(path, range(1)).close()
    first = path.stat().st_size
    written(path, range(1, 3)).close()
    data = bytearray(path.read_bytes())
    data[first + at if at >= 0 else -1] ^= 0xFF
    path.write_bytes(data)

    assert numbers(path) == ([0] if at >= 0 else [0, 1])


def test_its_bytes_are_bounded_and_the_oldest_go(path: Path) -> None:
    most = 2000
    file = written(path, range(200), most)
    there = numbers(path)

    assert path.stat().st_size + file.previous.stat().st_size <= most
    assert there == [*range(there[0], 200)]
    assert 0 < there[0] < 190


def test_of_two_processes_one_writes_and_the_other_one_takes_over(path: Path) -> None:
    """So nothing is torn while a new one is there already."""
    first, second = written(path, range(2)), StateFile(path, 1 << 20)
    second.append({"number": 7})
    assert numbers(path) == [0, 1]

    first.close()
    second.append({"number": 8})
    assert numbers(path) == [0, 1, 8]


def test_where_nothing_can_be_written_it_goes_on_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And says so once."""
    file = StateFile(tmp_path / "nowhere" / "state", 1 << 20)

    assert [file.append({}) for _ in range(3)] == [False] * 3
    assert [*file.read()] == []
    assert len(caplog.records) == 1 and "Metrics cannot keep what it knows" in caplog.text


def test_it_is_for_its_user_alone(path: Path) -> None:
    written(path, range(1)).close()

    assert path.stat().st_mode & 0o777 == 0o600
