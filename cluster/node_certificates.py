"""What a machine needs for Ray's own connections to go by TLS: files, and variables that name them.

The authority follows from a secret of the cluster's: who brings that to another machine can make a
certificate there. Without TLS Ray would send its token, and all else, in clear text, and to whoever
answers at a port. Where the token is told, as to an agent of Ray's that speaks HTTP, it does not
tell the secret.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from raylax.proto.wire.cluster_tls import issued

OF_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
"""Ray's processes find those of their own machine there."""


def ray_tls(directory: Path, secret: str, addresses: Iterable[str] = ()) -> dict[str, str]:
    """Writes a certificate of this machine into a directory, for its user's eyes only; returns the
    variables with which Ray uses it, here and in every process that it starts. `addresses`: by
    which other machines reach this one."""
    names = dict.fromkeys((*OF_THIS_MACHINE, *addresses))
    made = issued(secret, tuple(names))
    files = {
        "RAY_TLS_CA_CERT": ("ray-ca.pem", made.authority),
        "RAY_TLS_SERVER_CERT": ("ray-cert.pem", made.certificate),
        "RAY_TLS_SERVER_KEY": ("ray-key.pem", made.key),
    }
    for name, content in files.values():
        write_private(directory / name, content)
    return {"RAY_USE_TLS": "1", **{key: str(directory / name) for key, (name, _) in files.items()}}


def write_private(file: Path, content: bytes) -> None:
    """In place of what was there, never readable by anybody else."""
    made = file.with_suffix(".new")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    os.replace(made, file)
