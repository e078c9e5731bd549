"""`raylax compile --target`: code for GPUs from a machine without one, or a plain refusal."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raylax.cluster.cli.main import main
from raylax.kernels.cuda.cubins.chips import CHIPS
from raylax.kernels.cuda.cubins.facts import load
from tests.kernels.cuda.cubins.test_build import alive, waits_for
from tests.support.cuda_scaled import SCALED


def said_by(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[object, str]:
    """The command's exit status, and its last line."""
    monkeypatch.setattr("sys.argv", ["raylax", "compile", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return ended.value.code, (out + err).strip().splitlines()[-1]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model's machine code is one kernel: compiling all takes minutes."""
    monkeypatch.setattr("raylax.kernels.cuda.form.all_for", lambda *_: [SCALED])


def test_a_models_machine_code_is_written_where_it_is_wanted(
    checkpoint: Path,
    tmp_path: Path,
    small: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With what it was made from beside it: the directory can be taken elsewhere. Written again, it
    is another one."""
    output = tmp_path / "lib"
    arguments = (str(checkpoint), "--target", "cuda/sm_89", "--quantization", "q4f16_1")
    for _ in range(2):
        status, said = said_by(monkeypatch, capsys, *arguments, "-o", str(output))

        assert (status, said) == (0, f"{checkpoint.name} is compiled for cuda/sm_89: {output}")
        assert list(load(output, [SCALED], CHIPS[89])) == ["scaled"]


def test_nothing_of_a_users_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory that holds other things is left as it is."""
    monkeypatch.setattr("raylax.cluster.models.cross_compile.shared", lambda chip: [SCALED])
    (tmp_path / "letters").touch()

    status, said = said_by(monkeypatch, capsys, "--target", "cuda/sm_90", "-o", str(tmp_path))

    rule = "--output must be a new or an empty directory, or one that this command wrote"
    assert (status, said) == (1, f"error: {rule}; found {tmp_path}")
    assert [one.name for one in tmp_path.iterdir()] == ["letters"]


def test_the_kernels_of_all_models_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("raylax.cluster.models.cross_compile.shared", lambda chip: [SCALED])
    arguments = ("--target", "cuda/sm_90", "-o", str(tmp_path / "kernels"))

    status, said = said_by(monkeypatch, capsys, *arguments)

    directory = tmp_path / "kernels"
    assert (status, said) == (
        0,
        f"the kernels of all models are compiled for cuda/sm_90: {directory}",
    )
    assert list(load(directory, [SCALED], CHIPS[90])) == ["scaled"]


COMPILING = """
import sys
from raylax.cluster.cli import entry, main
from raylax.cluster.models import cross_compile
from tests.kernels.cuda.cubins.test_build import ENDLESS, SCALED
cross_compile.shared = lambda chip: [SCALED, ENDLESS]
sys.argv = ["raylax", "compile", "--target", "cuda/sm_90"]
entry.main()
"""


def test_an_interrupt_ends_it_at_once_and_leaves_nothing(tmp_path: Path) -> None:
    """As Ctrl-C does in a terminal: silently, whatever a compiler is at; what is done is kept."""
    pid, store = tmp_path / "pid", tmp_path / "store"
    here = {"RAYLAX_TEST_PID": str(pid), "RAYLAX_STORE": str(store), "TMPDIR": str(tmp_path)}
    pipe, path = subprocess.PIPE, os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", COMPILING],
        env={**os.environ, **here, "PYTHONPATH": path},
        stdout=pipe,
        stderr=pipe,
        text=True,
        process_group=0,
    ) as command:
        try:
            waits_for(lambda: pid.exists() and any(store.glob("cubin/*/scaled.cubin")))
            compiler = int(pid.read_text())
            os.killpg(command.pid, signal.SIGINT)
            out, err = command.communicate(timeout=10)
        finally:
            command.kill()

    assert (command.returncode, err) == (130, "")
    assert "compile for sm_90" in out
    assert not alive(compiler)
    assert not list(store.glob("cubins/*/*")), "half a model's is left"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "error: compile needs MODEL, or --target cuda/sm_90 for the kernels of all models"),
        (["--target", "cuda/sm_75"], "error: there are kernels for sm_80 (A100), sm_86 (A10, RTX"),
        (["--target", "sm_90"], "error: --target must be cuda/ and a chip, as cuda/sm_90, found"),
    ],
)
def test_what_cannot_be_compiled_without_a_model_is_named(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    status, line = said_by(monkeypatch, capsys, *arguments)

    assert status == 1 and line.startswith(said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "cuda/sm_70"], "error: there are kernels for sm_80 (A100), sm_86 (A10, RTX"),
        (
            ["--target", "cuda"],
            "error: there are kernels for sm_80 (A100), sm_86 (A10, RTX 30), sm_",
        ),
        (["--target", "x86-64-v3"], "error: --target must be cuda/ and a chip, as cuda/sm_90, fo"),
        (["-o", "lib"], "error: --target must be cuda/ and a chip, as cuda/sm_90, found None"),
        (
            ["--target", "cuda/sm_90", "--quantization", "q4f32_0"],
            "error: quantization 'q4f32_0' is not there on CUDA; there are auto, q0f16, q0bf16, q8",
        ),
        (
            ["--target", "cuda/sm_90", "--pipeline-parallel-stages", "2"],
            "error: pipeline_parallel_stages must be 1 on CUDA, where tensor_parallel_shards share",
        ),
    ],
)
def test_what_a_target_lacks_is_refused(
    arguments: list[str],
    said: str,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By name, in a second, with or without a compiler for GPUs."""
    status, last = said_by(monkeypatch, capsys, str(checkpoint), *arguments)

    assert status == 1
    assert last.startswith(said)
