"""`raylax node`: what a machine of a Ray cluster needs, and what to type there."""

import secrets
import shlex
import stat
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from raylax.cluster.errors import UserError
from raylax.cluster.node_certificates import ray_tls, write_private
from raylax.kernels.errors import UntrustedPath
from raylax.kernels.ownership import check_ours
from raylax.proto.wire.cluster_tls import derived

BYTES = 32
SHORTEST, LONGEST = 2 * BYTES, 4096
"""Of a secret, in characters."""
TOKEN = b"raylax: Ray's token"
MORE = {
    "RAY_AUTH_MODE": "token",
    "RAY_enable_metrics_collection": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Ray's metrics would be told by HTTP, without TLS."""
HELP = """\
# First machine:  ray start --head --port=6379 --node-ip-address={here} --include-dashboard=false
# Every other:    ray start --address=FIRST:6379 --node-ip-address={here}
# On one of them: serve run raylax.cluster.application.app:application model=...
# Every machine has the same {secret}: bring it there by a way that nobody reads."""


def prepare_node(secret_file: Path, addresses: Sequence[str]) -> None:
    """Writes certificate and token beside the secret, which is made if there is none, and prints
    the variables. Raises UserError."""
    for address in addresses:
        check_address(address)
    secret, directory = read_or_make(secret_file), secret_file.absolute().parent
    token = directory / "ray-token"
    try:
        variables = ray_tls(directory, secret, addresses)
        write_private(token, derived(secret, TOKEN, BYTES).hex().encode())
    except OSError as error:
        raise UserError(f"{directory}: cannot be written: {error.strerror}") from None
    variables |= {"RAY_AUTH_TOKEN_PATH": str(token), **MORE}
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    print(HELP.format(here=addresses[0], secret=secret_file))


def check_address(address: str) -> None:
    """Raises UserError for what is no address of a machine."""
    try:
        ip_address(address)
    except ValueError:
        raise UserError(f"--address must be one of IPv4 or IPv6, found {address}") from None


def read_or_make(file: Path) -> str:
    """The secret in a file that nobody else can read. Raises UserError."""
    try:
        if not file.exists():
            write_private(file, f"{secrets.token_hex(BYTES)}\n".encode())
        check_ours(file.absolute())
        found = file.stat()
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o77:
            mode = stat.filemode(found.st_mode)
            raise UserError(f"{file}: must be a file of mode 0600, found {mode}")
        secret = file.read_text(encoding="ascii").strip() if found.st_size <= LONGEST else ""
    except OSError as error:
        raise UserError(f"{file}: cannot be read or made: {error.strerror}") from None
    except UntrustedPath as error:
        raise UserError(f"{file}: {error.place} {error.why}") from None
    except UnicodeError:
        secret = ""
    if len(secret) < SHORTEST:
        raise UserError(
            f"{file}: a secret has {SHORTEST} to {LONGEST} characters of ASCII, found "
            f"{found.st_size} bytes"
        )
    return secret
