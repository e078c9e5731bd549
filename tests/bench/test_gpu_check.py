"""`bench/gpu/check.py` on a driver that interprets: what becomes of it when a kernel is wrong, ends
its process, never ends, or the device is gone. All of it runs in `test_gpu_bundle.py`."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.cuda.cubins.toolchain import triton
from raylax.kernels.cuda.device.verdict import read
from raylax.kernels.errors import CompileError
from tests.support.bench_commands import finished
from tests.support.paths import BENCH

CHECK = "gpu/check.py"
PATIENCE_S = 500
"""Kernels are compiled first, where the store has them not."""
pytestmark = pytest.mark.timeout(2 * PATIENCE_S)
Run = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Its exit status, what it has written, and what it said. Skips where nothing compiles."""
    try:
        triton()
    except CompileError as error:
        pytest.skip(str(error))
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("a fake driver is made by a C compiler")

    def run(*arguments: object) -> tuple[int, dict[str, Any], str]:
        file = tmp_path_factory.mktemp("check") / "check.json"
        given = ("--fake", "--small", "--json", file, *arguments)
        code, out, errors = finished(CHECK, *given, patience_s=PATIENCE_S)
        assert file.exists(), errors
        return code, json.loads(file.read_text()), out + errors

    return run


@pytest.fixture(scope="module")
def kit(run: Run, tmp_path_factory: pytest.TempPathFactory, store: Path) -> Path:
    """A copy of the kit that the check makes for itself."""
    code, told, said = run("--only", "graphs")
    assert code == 0, said
    made = [Path(told["kit"]["directory"])]
    copy = tmp_path_factory.mktemp("kit") / "kit"
    shutil.copytree(made[0], copy)
    return copy


def with_source(kit: Path, directory: Path, name: str, source: str) -> Path:
    """The kit with a kernel that is another one, as far as the driver knows."""
    shutil.copytree(kit, directory)
    file = directory / "cubins" / "kernels.json"
    listed = json.loads(file.read_text())
    listed["kernels"][name]["kernel"] = source
    file.write_text(json.dumps(listed))
    return directory


def test_a_tile_that_adds_in_another_order_is_found(run: Run, kit: Path, tmp_path: Path) -> None:
    """Its products are right, and not the bits of the others: no check of them holds. All that
    does not rest on it is as it was."""
    wrong = with_source(
        kit, tmp_path / "kit", "linear_bf16_m16", "tests.support.cuda_mistakes:linear"
    )
    code, told, said = run("--kit", wrong, "--only", "matrix_unit", "products", "graphs")

    assert code == 1
    ok = {name: one["ok"] for name, one in told["checks"].items()}
    assert ok.pop("matrix unit bf16") is False
    assert ok.pop("linear bf16") is False
    assert "linear_bf16_m16" in told["checks"]["matrix unit bf16"]["said"]
    assert set(ok.values()) == {True} and "graphs" in ok
    assert "FAILED: matrix unit bf16, linear bf16" in said


def test_a_head_that_names_other_tokens_is_found(run: Run, kit: Path, tmp_path: Path) -> None:
    """Whatever it drafts would be thrown away, and nothing else would be wrong."""
    wrong = with_source(kit, tmp_path / "kit", "spread", "tests.support.cuda_mistakes:spread")
    code, told, _ = run("--kit", wrong, "--only", "heads")

    assert code == 1
    assert told["checks"]["drafts"]["ok"] is False
    assert "logits of 3 tokens are" in told["checks"]["drafts"]["said"]
    assert told["checks"]["drafts law 1"]["ok"] is True


def test_a_part_that_dies_goes_on_behind_what_it_died_of(
    run: Run, kit: Path, tmp_path: Path
) -> None:
    """So does the whole."""
    wrong = with_source(kit, tmp_path / "kit", "adjust", "tests.support.cuda_crash:adjust")
    wrong = with_source(wrong, tmp_path / "both", "embed_bf16_256", "tests.support.cuda_crash:one")
    code, told, _ = run("--kit", wrong, "--only", "pointwise", "sampler", "graphs")

    assert code == 1
    ok = {name: one["ok"] for name, one in told["checks"].items()}
    failed = [name for name, held in ok.items() if not held]
    assert failed == ["embed bf16 256", "adjust"]
    assert "process ended (-9)" in told["checks"]["adjust"]["said"]
    assert {"add_norm bf16 256", "rope_append bf16 256 int8", "sample", "graphs"} <= set(ok)


def test_what_never_ends_is_ended(
    run: Run, kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYLAX_TEST_PID", str(tmp_path / "pid"))
    wrong = with_source(kit, tmp_path / "kit", "adjust", "tests.support.cuda_endless:adjust")
    code, told, _ = run("--kit", wrong, "--only", "sampler", "--limit", 10)

    assert code == 1
    assert told["checks"]["sample"]["ok"] is True
    assert told["checks"]["adjust"]["ok"] is False
    assert told["checks"]["adjust"]["said"] == "its time was over"
    assert not Path("/proc", (tmp_path / "pid").read_text()).exists()


def test_a_device_that_is_gone_fails_every_check(
    run: Run, kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said of each part, and the check ends."""
    lost = tmp_path / "lost"
    lost.write_text("79")
    monkeypatch.setenv("RAYLAX_FAKE_LOST", str(lost))
    code, told, _ = run("--kit", kit, "--only", "graphs", "demo")

    assert code == 1
    assert told["checks"] and not any(one["ok"] for one in told["checks"].values())


def test_a_kit_for_another_chip_is_refused(
    run: Run, kit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYLAX_FAKE_CHIP", "100")
    code, told, said = run("--kit", kit)

    assert code == 1
    assert "the kit has kernels for sm_90, and this GPU is sm_100" in told["checks"]["kit"]["said"]
    assert "Traceback" not in said


CARRIED = """
import sys

sys.path.insert(0, sys.argv[1])
from packing.carried import other_tiles, overlapped, variants
from packing.kit import DEMO, open_checkpoint

from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.cubins.overlap import LEAST

demo = open_checkpoint(DEMO).spec
for chip in CHIPS:
    names = [one.name for one in (*variants(chip, demo, False), *other_tiles(chip))]
    assert len(set(names)) == len(names) > 100, chip
    assert chip < LEAST or overlapped(chip, demo)
"""


def test_whole_kits_are_there_for_every_chip() -> None:
    """The tables have all that they are asked for, under names of its own."""
    command = [sys.executable, "-c", CARRIED, str(BENCH / "gpu")]
    ended = subprocess.run(command, capture_output=True, text=True)

    assert ended.returncode == 0, ended.stderr


def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    """In a line, and nothing was checked."""
    file = tmp_path / "check.json"
    code, out, errors = finished(CHECK, "--json", file)

    assert code == 1
    assert "FAILED device: it needs a GPU and NVIDIA's driver" in out
    assert "Traceback" not in errors
    assert json.loads(file.read_text())["ok"] is False


def test_where_nothing_can_be_written_nothing_begins(tmp_path: Path) -> None:
    code, _, errors = finished(CHECK, "--json", tmp_path / "missing" / "check.json")

    assert code == 2
    assert "--json must be in a directory that can be written" in errors


KEEP = """
import sys

sys.path.insert(0, sys.argv[1])
from pathlib import Path

import check
import report

one = report.Report(Path(sys.argv[2]), {})
one.add({"facts": "device", "chip": 90, "driver": "580.1"})
one.add({"check": "linear", "ok": sys.argv[3] == "held", "said": ""})
one.add({"check": "decode", "ok": False, "said": ""}, "measures")
one.add({"check": "torch decode", "ok": False, "said": ""}, "compares")
check.keep_verdict(one)
sys.exit(one.end(whole=True))
"""


@pytest.mark.parametrize("came_to", ["held", "failed"])
def test_the_verdict_is_of_what_decides(
    came_to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the kernels' checks: not of how fast they are, nor of what another library does. One that
    fails takes the place of one that held."""
    monkeypatch.setenv("RAYLAX_STORE", str(tmp_path))
    for what in ("held", came_to):
        command = [sys.executable, "-c", KEEP, str(BENCH / "gpu"), str(tmp_path / "told"), what]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert ended.returncode == 0, "a time that could not be taken is a failure of the whole"

    found = read("sm_90", "580.1", tmp_path)
    assert found is not None
    assert found.ok is (came_to == "held")
    assert found.held + found.failed == ("linear",)
    told = json.loads((tmp_path / "told").read_text())
    assert told["figures"]["torch decode"] == {"failed": ""}
