"""`bench/engine.py`: figures, ratios and shares, and how it ends."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from raylax.kernels.cpu.formats import NAMES
from tests.support.bench_commands import (
    descendants,
    finished,
    peer,
    started,
)
from tests.support.engines import until
from tests.support.paths import BENCH

FIGURES = 'echo \'{"speed_pp": 1000.0, "speed_tg": 100.0}\''


@pytest.fixture(scope="module")
def run(tiny: Path) -> tuple[dict[str, Any], str]:
    """One run with a peer of known speed: what it wrote, and what it printed."""
    llama, weights, written = tiny / "llama", tiny / "peer.gguf", tiny / "figures.json"
    weights.touch()
    options = ("--rounds", 1, "--concurrency", 1, 2, "--threads", 2, "--json", written)
    beside = ("--llama", peer(llama, FIGURES), "--gguf", weights, "--rival")
    code, out, errors = finished("engine.py", tiny, *options, *beside)
    assert (code, errors) == (0, "")
    return json.loads(written.read_text())["results"][0], out


def test_every_load_is_measured(run: tuple[dict[str, Any], str]) -> None:
    result, out = run

    loads = [row["load"] for row in result["rows"]]
    assert loads == ["prefill 512", "decode c=1", "decode c=2"]
    assert all(load in out for load in [*loads, "peak MB"])


def test_a_ratio_is_ours_to_the_peers(run: tuple[dict[str, Any], str]) -> None:
    """The peer says 1000 tokens a second of prefill, 100 of decoding."""
    result, _ = run

    for row, theirs in zip(result["rows"], (1000, 100, 100), strict=True):
        ours = row["tokens_per_s"][0]
        assert row["tokens_per_s"][1] == theirs
        assert row["ratios"] == [pytest.approx(ours / theirs)]


def test_a_step_reads_the_weights_and_a_tied_embedding_once(
    run: tuple[dict[str, Any], str], tiny: Path
) -> None:
    """The packed bf16 model is its checkpoint, but for norms in f32."""
    result, _ = run
    stored = (tiny / "model.safetensors").stat().st_size

    assert stored < result["work"]["weight_bytes"] < 1.01 * stored
    keys_and_values = 4 * 2 * 2 * 64 * 2  # layers, both, heads, dimension, bytes
    assert result["work"]["kv_bytes"] == keys_and_values


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_machines_limits_are_measured(run: tuple[dict[str, Any], str]) -> None:
    """A share is of the limit: bandwidth for one sequence, arithmetic for a prefill."""
    result, out = run
    limits, work = result["limits"], result["work"]
    _, one, two = result["rows"]

    assert 1 < limits["read"] < 2000
    step = work["weight_bytes"] + work["kv_bytes"] * (32 + 128 / 2)
    assert one["share"] == pytest.approx(one["tokens_per_s"][0] * step / limits["read"] / 1e9)
    assert two["share"] is None
    assert "% read" in out


def test_a_gguf_alone_is_measured_in_both(tiny: Path, tmp_path: Path) -> None:
    """As it is, and by its own name."""
    assert finished("gguf_file.py", tiny, tmp_path / "model.gguf")[0] == 0
    model, written = tmp_path / "model.gguf", tmp_path / "figures.json"
    told = f'case "$*" in *"-m {model} "*) {FIGURES};; esac'
    beside = ("--gguf", model, "--llama", peer(tmp_path / "llama", told), "--json", written)
    options = ("--rounds", 1, "--concurrency", 1, "--threads", 1, "--context", 16)
    code, _, errors = finished("engine.py", *options, *beside)

    assert (code, errors) == (0, "")
    (result,) = json.loads(written.read_text())["results"]
    assert result["engines"] == ["raylax auto", "llama.cpp model"]
    assert [row["tokens_per_s"][1] for row in result["rows"]] == [1000, 100]


def test_a_rival_takes_some_of_the_speed(run: tuple[dict[str, Any], str]) -> None:
    """The peer, which only speaks, keeps all of its own."""
    result, out = run

    for row in result["rows"]:
        ours, theirs = row["kept_beside_a_rival"]
        assert ours > 0
        assert theirs == 1
    assert "kept" in out


def test_the_arithmetic_of_every_quantization_is_known() -> None:
    code = "from engines.work import WEIGHTS; print(*WEIGHTS)"
    known = subprocess.check_output([sys.executable, "-c", code], cwd=BENCH, text=True)

    assert set(known.split()) == set(NAMES)


def test_a_peer_that_fails_is_one_line(tiny: Path, tmp_path: Path) -> None:
    """And nothing else: no table, no traceback."""
    weights = tmp_path / "broken.gguf"
    weights.touch()
    says = "echo 'loading' >&2; echo 'error: no such tensor' >&2; echo 'bye' >&2; exit 3"
    beside = ("--llama", peer(tmp_path / "llama", says), "--gguf", weights)

    code, out, errors = finished("engine.py", tiny, "--threads", 2, "--rounds", 1, *beside)

    assert (code, errors) == (1, "llama.cpp broken: error: no such tensor (3)\n")
    assert "tok/s" not in out


def test_our_own_refusal_is_one_line(tmp_path: Path) -> None:
    code, _, errors = finished("engine.py", tmp_path / "nowhere")

    assert code == 1
    assert errors.startswith("raylax q0bf16: CheckpointError: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_at_once(
    tiny: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    """While a peer measures and our own engine waits for its turn."""
    weights, here = tmp_path / "slow.gguf", tmp_path / "measuring"
    weights.touch()
    slow = peer(tmp_path / "llama", f"sleep 600 & touch {here}; wait")
    process = started("engine.py", tiny, "--threads", 2, "--llama", slow, "--gguf", weights)
    until(here.exists)
    children = descendants(process.pid)
    assert len(children) >= 3  # the engine, the peer and what that one started

    begun = time.monotonic()
    process.send_signal(stop)
    _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors) == (128 + stop, "")
    # Killed, but who started them cannot wait for them: a kernel with much to do takes its time.
    until(lambda: not any(alive(pid) for pid in children))
    assert time.monotonic() - begun < 5


STARTING = """
import os, signal, subprocess, sys
from engines import command, processes

def begun(*args, **options):
    process = popen(*args, **options)
    os.kill(os.getpid(), signal.SIGTERM)
    print(process.pid, flush=True)
    return process

popen, subprocess.Popen = subprocess.Popen, begun
command.run(lambda: processes.start(["sleep", "600"]))
"""


def test_a_signal_while_a_process_begins_ends_it_as_well() -> None:
    """Before anybody has been told that there is one."""
    done = subprocess.run(
        [sys.executable, "-c", STARTING], cwd=BENCH, capture_output=True, text=True, timeout=60
    )

    assert (done.returncode, done.stderr) == (143, "")
    assert not alive(int(done.stdout))


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.cluster
@pytest.mark.timeout(700)
def test_raylax_is_measured_as_people_have_it(tiny: Path) -> None:
    """Beside its engine alone; nothing of the cluster is left."""
    written = tiny / "served.json"
    options = ("--rounds", 1, "--concurrency", 2, "--served", "--json", written)
    code, _, errors = finished("engine.py", tiny, *options, patience_s=600)

    assert (code, errors) == (0, "")
    (result,) = json.loads(written.read_text())["results"]
    assert result["engines"] == ["raylax q0bf16", "served q0bf16"]
    assert [row["load"] for row in result["rows"]] == ["prefill 512", "decode c=2"]
    assert all(speed > 0 for row in result["rows"] for speed in row["tokens_per_s"])
