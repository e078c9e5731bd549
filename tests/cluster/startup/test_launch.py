"""What `raylax serve` does with what its driver says. Drivers here are a line of shell each."""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from raylax.cluster.cli.main import main
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import ClusterLost, UserError
from raylax.cluster.ports import free_ports
from raylax.cluster.startup import launch
from raylax.cluster.startup.signals import NUMBERS, RELOAD, Stopping, stop_on_signals

QUIET = Console(quiet=True)


def driver(script: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logs that are kept go to."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "script, said",
    [
        ("""echo '{"lost": "the proxy was killed"}'""", "did not start: the proxy was killed$"),
        ("exit 1", "the cluster has ended: raylet was killed$"),
    ],
)
def test_a_cluster_that_is_lost_says_why(script: str, said: str, temporary: Path) -> None:
    (temporary / launch.LOG).write_bytes(b"a traceback\xe9\nraylet was killed\n\n")

    with driver(script) as process, pytest.raises(ClusterLost, match=said) as caught:
        launch.follow(process, temporary, QUIET)

    assert caught.value.log.startswith("a traceback")


class Starts:
    """Stands for a start with what comes of it."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)

    def run(self, *_: object) -> None:
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome


@pytest.mark.parametrize(
    "outcomes, raised, left, logs",
    [
        ([None, None], None, 1, []),
        ([ClusterLost("busy", "1"), None], None, 0, []),
        ([ClusterLost("busy", "1"), Stopping(2), None], None, 1, []),
        ([ClusterLost("busy", "1"), ClusterLost("busy again", "2"), None], "busy again", 1, ["2"]),
        ([UserError("a mistake"), None], "a mistake", 1, []),
    ],
)
def test_a_start_is_tried_once_more_where_nobody_made_a_mistake(
    outcomes: list[Exception | None],
    raised: str | None,
    left: int,
    logs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    temporary: Path,
) -> None:
    """The log of a start is kept only where no other one follows, for us alone."""
    starts = Starts(*outcomes)
    monkeypatch.setattr(launch, "run", starts.run)
    monkeypatch.setattr(launch, "stop_on_signals", lambda: None)
    monkeypatch.setattr(launch, "ignore_signals", lambda: None)
    port, grpc_port = free_ports(2)
    config = ClusterConfig(port=port, grpc_port=grpc_port)

    try:
        launch.serve(lambda: config, None, QUIET)
        found = None
    except UserError as error:
        found = str(error)
    except SystemExit:
        found = None

    kept = list(temporary.iterdir())
    assert found == (f"{raised}; its log: {kept[0]}" if kept else raised)
    assert len(starts.outcomes) == left
    assert [file.read_text() for file in kept] == logs
    assert all(file.stat().st_mode & 0o077 == 0 for file in kept)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_start_that_is_told_to_stop_ends_as_shells_have_it(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "run", Starts(Stopping(number)).run)
    for name in ("check_machine", "stop_on_signals", "ignore_signals"):
        monkeypatch.setattr(launch, name, lambda *_: None)

    with pytest.raises(SystemExit) as caught:
        launch.serve(ClusterConfig, None, QUIET)

    assert caught.value.code == code


def test_nothing_is_started_for_what_is_known_to_fail(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither for a model that no router can read, nor where a port is taken."""
    starts = Starts(None)
    monkeypatch.setattr(launch, "run", starts.run)
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

    assert len(starts.outcomes) == 1


def test_what_a_user_should_know_is_said_before_the_start(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody may ask; weights lose digits."""
    copy = shutil.copytree(checkpoint, tmp_path / "model")
    settings = json.loads((copy / "config.json").read_text()) | {"dtype": "float16"}
    (copy / "config.json").write_text(json.dumps(settings))
    monkeypatch.setattr(launch, "run", Starts(None).run)
    monkeypatch.setattr(launch, "stop_on_signals", lambda: None)
    monkeypatch.setattr(launch, "ignore_signals", lambda: None)
    monkeypatch.setattr(launch, "check_machine", lambda config: None)
    config = ClusterConfig(model=str(copy), host="0.0.0.0")
    console = Console(file=StringIO())
    launch.serve(lambda: config, None, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]

    assert "warning: everybody who reaches 0.0.0.0 may ask: there are no API keys" in said
    assert "note: model: its float16 weights become bfloat16" in said


def test_a_signal_while_the_directory_is_made_leaves_none(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its noting, where nobody would know of it."""
    made: list[Path] = []

    def interrupted() -> Path:
        made.append(temporary / "run")
        made[0].mkdir()
        os.kill(os.getpid(), signal.SIGTERM)
        return made[0]

    monkeypatch.setattr("raylax.cluster.environment.make_run_directory", interrupted)
    before = {number: signal.getsignal(number) for number in (*NUMBERS, RELOAD)}
    try:
        stop_on_signals()
        with pytest.raises(Stopping), launch.run_directory():
            pytest.fail("it was told to stop")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert made != []
    assert list(temporary.iterdir()) == []


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
