"""Whoever takes a port of Ray's is told nothing: Ray's own client, with what a run gives it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raylax.cluster.environment import for_ray, token_of

ASK = """
import sys
from ray._raylet import GcsClient
try:
    GcsClient(address=sys.argv[1]).internal_kv_get(b"key", timeout=2)
except Exception:
    pass
"""
HELLO = b"\x16\x03"
"""How TLS begins."""
PATIENCE_S = 60.0


@pytest.mark.parametrize("sealed", [True, False])
def test_ray_says_nothing_to_who_has_no_certificate(tmp_path: Path, sealed: bool) -> None:
    """Without TLS it would begin by telling the token: then this test hears it."""
    env = for_ray(tmp_path)
    env |= {"RAY_gcs_rpc_server_connect_timeout_s": "5", "RAY_py_gcs_connect_timeout_s": "5"}
    if not sealed:
        env["RAY_USE_TLS"] = "0"
    token = token_of(tmp_path).read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        squatter.settimeout(PATIENCE_S)
        at = f"127.0.0.1:{squatter.getsockname()[1]}"
        client = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", ASK, at],
            env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            taken, _ = squatter.accept()
            with taken:
                taken.settimeout(5)
                heard = all_from(taken)
        finally:
            client.kill()
            client.wait()

    assert heard.startswith(HELLO) == sealed
    assert (token in heard) == (not sealed)


def all_from(taken: socket.socket) -> bytes:
    """What a gRPC client says to who answers as a server of HTTP/2 would."""
    heard = b""
    taken.sendall(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")  # its settings: none
    try:
        while b"authorization" not in heard and (more := taken.recv(1 << 16)):
            heard += more
            taken.sendall(b"\x00\x00\x00\x04\x01\x00\x00\x00\x00")
    except OSError:
        pass
    return heard


def test_others_find_no_key_in_a_run(tmp_path: Path) -> None:
    """And no two runs have the same authority."""
    env = for_ray(tmp_path)
    files = [Path(env[f"RAY_TLS_{name}"]) for name in ("CA_CERT", "SERVER_CERT", "SERVER_KEY")]
    first = files[0].read_bytes()
    for_ray(tmp_path)

    assert all(os.stat(file).st_mode & 0o77 == 0 for file in files)
    assert files[0].read_bytes() != first
