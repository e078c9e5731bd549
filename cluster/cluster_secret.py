"""The secret of a cluster of several machines: a file that each has, and what follows from it.

Whoever has it may join, and is believed. It is sent to nobody.
"""

import secrets
import stat
from pathlib import Path

from raylax.cluster.errors import UserError
from raylax.cluster.node_certificates import write_private
from raylax.kernels.errors import UntrustedPath
from raylax.kernels.ownership import check_ours
from raylax.proto.wire.cluster_tls import derived

BYTES = 32
SHORTEST, LONGEST = 2 * BYTES, 4096
"""Of a secret, in characters."""
TOKEN = b"raylax: Ray's token"


def ray_token(secret: str) -> str:
    """What Ray's processes show each other. Where it is told, it does not tell the secret."""
    return derived(secret, TOKEN, BYTES).hex()


def read_or_make(file: Path) -> str:
    """The secret in a file that nobody else can read; a new one if there is no such file. Raises
    UserError."""
    try:
        if not file.exists():
            write_private(file, f"{secrets.token_hex(BYTES)}\n".encode())
    except OSError as error:
        raise UserError(f"{file}: cannot be read or made: {error.strerror}") from None
    return read(file)


def read(file: Path) -> str:
    """The secret in a file that nobody else can read. Raises UserError."""
    try:
        check_ours(file.absolute())
        found = file.stat()
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o77:
            mode = stat.filemode(found.st_mode)
            raise UserError(f"{file}: must be a file of mode 0600, found {mode}")
        secret = file.read_text(encoding="ascii").strip() if found.st_size <= LONGEST else ""
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
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
