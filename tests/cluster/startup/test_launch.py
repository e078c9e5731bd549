"""What `raylax serve` looks at before anything runs, and what it says."""

import json
import shlex
import shutil
import signal
import socket
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from raylax.cluster.cli.main import main
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.ports import free_ports
from raylax.cluster.startup import launch
from raylax.cluster.startup.runs import Runs
from raylax.cluster.startup.signals import Stopping

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logs that are kept go to."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_start_that_is_told_to_stop_ends_as_shells_have_it(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(runs: Runs) -> None:
        raise Stopping(number)

    monkeypatch.setattr(Runs, "keep_serving", stopped)
    for name in ("check_machine", "stop_on_signals", "ignore_signals"):
        monkeypatch.setattr(launch, name, lambda *_: None)

    with pytest.raises(SystemExit) as caught:
        launch.serve(ClusterConfig, None, QUIET)

    assert caught.value.code == code


def test_nothing_is_started_for_what_is_known_to_fail(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for a model that no router can read, nor where a port is taken."""
    served: list[object] = []
    monkeypatch.setattr(Runs, "keep_serving", served.append)
    copy = shutil.copytree(checkpoint, tmp_path / "model")
    (copy / "tokenizer.json").unlink()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, (free,) = server.getsockname()[1], free_ports(1)
        for given, said in (
            ({"model": str(copy), "port": free}, "tokenizer.json is missing"),
            ({"port": port, "grpc_port": free}, "choose another by --port"),
        ):
            config = ClusterConfig.model_validate(given)
            with pytest.raises(UserError, match=said):
                launch.serve(lambda config=config: config, None, QUIET)  # type: ignore[misc]

    assert served == []


def test_what_a_user_should_know_is_said_before_the_start(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody may ask; weights lose digits."""
    copy = shutil.copytree(checkpoint, tmp_path / "model")
    settings = json.loads((copy / "config.json").read_text()) | {"dtype": "float32"}
    (copy / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(Runs, "keep_serving", lambda runs: None)
    monkeypatch.setattr(launch, "stop_on_signals", lambda: None)
    monkeypatch.setattr(launch, "ignore_signals", lambda: None)
    monkeypatch.setattr(launch, "check_machine", lambda config: None)
    monkeypatch.setattr("raylax.cluster.models.checks.detect_device", lambda device: "cuda")
    config = ClusterConfig(model=str(copy), host="0.0.0.0")
    console = Console(file=StringIO())
    launch.serve(lambda: config, None, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]

    assert "warning: everybody who reaches 0.0.0.0 may ask: there are no API keys" in said
    assert "note: model: its float32 weights become bfloat16" in said


@pytest.mark.parametrize(
    ("changed", "mode", "said"),
    [
        ("raylax.yaml", 0o666, "{0} lets another user in: {0} can be written by other users"),
        ("keys.yaml", 0o606, "{0} lets another user in: {0} can be written by other users"),
        ("cert.pem", 0o602, "{0} lets another user in: {0} can be written by other users"),
        ("key.pem", 0o602, "{0} lets another user in: {0} can be written by other users"),
        ("key.pem", 0o644, "{0} lets another user in: it can be read by all"),
        ("clients.pem", 0o602, "{0} lets another user in: {0} can be written by other users"),
        ("keys.yaml", 0o644, None),
        ("cert.pem", 0o644, None),
        ("", 0o777, "{0}/key.pem lets another user in: {0} can be written by other users"),
    ],
)
def test_files_by_which_another_user_comes_in_are_named(
    changed: str, mode: int, said: str | None, tmp_path: Path
) -> None:
    """He adds a key, or has ours."""
    names = ("raylax.yaml", "keys.yaml", "cert.pem", "key.pem", "clients.pem")
    for name in names:
        (tmp_path / name).touch(mode=0o600)
    file, keys, cert, key, clients = (tmp_path / name for name in names)
    config = ClusterConfig.model_construct(
        api_keys_file=keys, tls_cert=cert, tls_key=key, tls_client_ca=clients
    )
    before = launch.ways_in(config, file)
    (tmp_path / changed).chmod(mode)
    found = launch.ways_in(config, file)

    assert before == []
    if said is None:
        assert found == []
    else:
        assert any(one.startswith(said.format(tmp_path / changed)) for one in found)


@pytest.mark.parametrize("name", ["plain", 'has "quotes"', "it's", "modèle-模型", "a\\b $(c)"])
def test_the_request_to_paste_is_json_for_any_name(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a shell reads it."""
    launch.announce(ClusterConfig(), [name, "other"], tmp_path, None, QUIET)

    words = shlex.split(capsys.readouterr().out.replace("\\\n", " "))

    assert json.loads(words[words.index("-d") + 1])["model"] == name


def test_an_address_of_ipv6_is_pasted_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the brackets of a URL, which no shell may take for a pattern."""
    launch.announce(ClusterConfig(host="::1"), ["one"], tmp_path, None, Console(soft_wrap=True))

    said = capsys.readouterr().out
    assert "at http://[::1]:8000/v1 and gRPC [::1]:9000" in said
    assert "curl 'http://[::1]:8000/v1/chat/completions' -H" in said


def test_the_version_is_an_option_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for asked in ("version", "--version"):
        monkeypatch.setattr("sys.argv", ["raylax", asked])
        with pytest.raises(SystemExit, match="0"):
            main()
        said.append(capsys.readouterr().out)

    assert said[0] == said[1]
    assert "raylax " in said[0]
