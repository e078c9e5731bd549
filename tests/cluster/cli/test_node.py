"""`raylax node`: machines that have the same secret understand each other, and nobody else."""

import shlex
import socket
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from raylax.cluster.cli.node import prepare_node
from raylax.cluster.errors import UserError

Machine = dict[str, str]


def prepared(file: Path, capsys: pytest.CaptureFixture[str], *addresses: str) -> Machine:
    """The variables that are printed, as a shell reads them."""
    prepare_node(file, addresses)
    lines = capsys.readouterr().out.splitlines()
    exported = [shlex.split(line)[1] for line in lines if line.startswith("export ")]
    assert all(line.startswith(("export ", "#")) for line in lines)
    return dict(one.split("=", 1) for one in exported)


def another(tmp_path: Path, name: str, secret: str | None = None) -> Path:
    """A machine's file of the secret; that was brought there, unless it is to make one."""
    directory = tmp_path / name
    directory.mkdir(mode=0o700)
    if secret is not None:
        (directory / "secret").touch(mode=0o600)
        (directory / "secret").write_text(secret)
    return directory / "secret"


def context(machine: Machine, purpose: ssl.Purpose) -> ssl.SSLContext:
    """As Ray's gRPC has it: certificates at both ends, and names that are looked at."""
    made = ssl.create_default_context(purpose, cafile=machine["RAY_TLS_CA_CERT"])
    made.load_cert_chain(machine["RAY_TLS_SERVER_CERT"], machine["RAY_TLS_SERVER_KEY"])
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def reaches(one: Machine, other: Machine, name: str) -> bool:
    """Whether the one is understood by the other, whom it calls by this name."""
    near, far = socket.socketpair()
    for end in (near, far):
        end.settimeout(20)
    accepting = context(other, ssl.Purpose.CLIENT_AUTH)

    def accept() -> bytes:
        with accepting.wrap_socket(far, server_side=True) as made:
            made.sendall(b"hello")
            return made.recv(5)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(accept)
        try:
            connecting = context(one, ssl.Purpose.SERVER_AUTH)
            with connecting.wrap_socket(near, server_hostname=name) as made:
                made.sendall(b"hello")
                return made.recv(5) == b"hello" and answer.result() == b"hello"
        except (ssl.SSLError, OSError):
            return False
        finally:
            near.close()
            far.close()


def test_machines_with_one_secret_understand_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By their addresses; Ray's token is the same, too, and tells nothing of the secret."""
    first = another(tmp_path, "first")
    head = prepared(first, capsys, "10.0.0.1", "fd00::1")
    second = prepared(another(tmp_path, "second", first.read_text()), capsys, "10.0.0.2")
    stranger = prepared(another(tmp_path, "stranger"), capsys, "10.0.0.1")
    tokens = [Path(one["RAY_AUTH_TOKEN_PATH"]).read_text() for one in (head, second, stranger)]

    assert reaches(second, head, "10.0.0.1")
    assert reaches(second, head, "fd00::1")
    assert reaches(second, head, "127.0.0.1")
    assert reaches(head, second, "10.0.0.2")
    assert not reaches(second, head, "10.0.0.3")
    assert not reaches(stranger, head, "10.0.0.1")
    assert not reaches(head, stranger, "10.0.0.1")
    assert tokens[0] == tokens[1] != tokens[2]
    assert len(tokens[0]) == 64 and tokens[0] != first.read_text().strip()
    assert (head["RAY_USE_TLS"], head["RAY_AUTH_MODE"]) == ("1", "token")


def test_what_is_written_is_for_its_user_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Again, too, in place of what is there; the secret stays."""
    file = another(tmp_path, "here")
    first = prepared(file, capsys, "10.0.0.1")
    secret = file.read_text()
    again = prepared(file, capsys, "10.0.0.1")
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}

    names = ("secret", "ray-token", "ray-ca.pem", "ray-cert.pem", "ray-key.pem")
    assert found == dict.fromkeys(names, 0o600)
    assert (first, secret) == (again, file.read_text())


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("x" * 63, 0o600, "a secret has 64 to 4096 characters of ASCII, found 63 bytes"),
        ("ä" * 64, 0o600, "a secret has 64 to 4096 characters of ASCII, found 128 bytes"),
        ("x" * 5000, 0o600, "a secret has 64 to 4096 characters of ASCII, found 5000 bytes"),
        ("x" * 64, 0o644, "must be a file of mode 0600, found -rw-r--r--"),
        ("x" * 64, 0o602, "can be written by other users"),
    ],
)
def test_a_secret_that_is_none(tmp_path: Path, content: str, mode: int, said: str) -> None:
    file = another(tmp_path, "here", content)
    file.chmod(mode)
    with pytest.raises(UserError) as caught:
        prepare_node(file, ["10.0.0.1"])

    assert said in str(caught.value)
    assert content not in str(caught.value)
    assert [path.name for path in file.parent.iterdir()] == ["secret"]


@pytest.mark.parametrize("address", ["node-7", "10.0.0.1:6379", ""])
def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    file = another(tmp_path, "here")
    with pytest.raises(UserError, match="^--address must be one of IPv4 or IPv6, found "):
        prepare_node(file, ["10.0.0.1", address])

    assert not file.exists()


def test_a_place_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read or made: No such file or directory"):
        prepare_node(tmp_path / "nowhere" / "secret", ["10.0.0.1"])
