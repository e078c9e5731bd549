"""`raylax node`: what a machine of a Ray cluster needs, and what to type there."""

import shlex
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from raylax.cluster.cluster_secret import ray_token, read_or_make
from raylax.cluster.errors import UserError
from raylax.cluster.node_certificates import ray_tls, write_private

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
        write_private(token, ray_token(secret).encode())
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
