"""The memory of the machine that the tests run on, and of machines written down as files."""

from pathlib import Path

import pytest

from raylax.worker.hardware.memory import available_memory, total_memory

MIB = 1 << 20
NO_LIMIT = 9223372036854771712


def test_this_machine_has_memory() -> None:
    assert 64 << 20 < available_memory() <= total_memory() < 1 << 50


def write(directory: Path, **files: str) -> None:
    """Files by their names, with _ for the dot."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("memory_", "memory.")).write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """1000 MiB, of which 800 are free, without control groups."""
    write(tmp_path / "proc", meminfo=f"MemTotal: {1000 * 1024} kB\nMemAvailable: {800 * 1024} kB\n")
    write(tmp_path / "proc" / "self", cgroup="0::/\n")
    return tmp_path


def asked(machine: Path) -> tuple[int, int]:
    """What is available, and the most that could be, in MiB."""
    where = machine / "proc", machine / "groups"
    return available_memory(*where) // MIB, total_memory(*where) // MIB


def version_2(directory: Path, most: str, high: str = "max", used: int = 0, files: int = 0) -> None:
    stat = f"anon 5\ninactive_file {files // 2}\nactive_file {files // 2}\n"
    write(directory, memory_max=most, memory_high=high, memory_current=str(used), memory_stat=stat)


def test_without_control_groups(machine: Path) -> None:
    assert asked(machine) == (800, 1000)


@pytest.mark.parametrize(
    ("ours", "above", "want"),
    [
        ({"most": "max"}, {"most": "max"}, (800, 1000)),
        ({"most": str(300 * MIB), "used": 100 * MIB}, {"most": "max"}, (200, 300)),
        ({"most": "max", "high": str(250 * MIB), "used": 100 * MIB}, {"most": "max"}, (150, 250)),
        ({"most": str(900 * MIB)}, {"most": str(200 * MIB), "used": 150 * MIB}, (50, 200)),
        ({"most": str(300 * MIB), "used": 290 * MIB, "files": 190 * MIB}, {"most": "max"},
         (200, 300)),
        ({"most": str(100 * MIB), "used": 150 * MIB}, {"most": "max"}, (0, 100)),
    ],
)  # fmt: skip
def test_our_group_and_those_above_it(
    machine: Path, ours: dict[str, str], above: dict[str, str], want: tuple[int, int]
) -> None:
    """The least of all limits holds; pages of files are given back when they are needed."""
    (machine / "proc" / "self" / "cgroup").write_text("0::/system/raylax\n")
    version_2(machine / "groups" / "system" / "raylax", **ours)  # type: ignore[arg-type]
    version_2(machine / "groups" / "system", **above)  # type: ignore[arg-type]

    assert asked(machine) == want


@pytest.mark.parametrize("path", ["/docker/0123", "/", "/../elsewhere"])
@pytest.mark.parametrize("limit", [400, NO_LIMIT // MIB])
def test_the_first_version_in_a_container(machine: Path, path: str, limit: int) -> None:
    """The tree that is mounted begins at our own group, whatever it is called outside."""
    (machine / "proc" / "self" / "cgroup").write_text(
        f"5:cpu,memory:{path}\n3:pids:/x\n0::{path}\n"
    )
    write(
        machine / "groups" / "memory",
        memory_limit_in_bytes=str(limit * MIB),
        memory_usage_in_bytes=str(150 * MIB),
        memory_stat=f"total_inactive_file {30 * MIB}\ntotal_active_file {20 * MIB}\n",
    )

    assert asked(machine) == (min(800, limit - 100), min(1000, limit))
