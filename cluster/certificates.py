"""Certificates, looked at before anything starts: their servers say less of what is wrong."""

import ssl
from pathlib import Path

from raylax.cluster.errors import UserError


def check_certificate(cert: Path, key: Path) -> None:
    """Raises UserError unless both can be read and belong together."""
    for path in (cert, key):
        try:
            if path.exists() and not path.is_file():  # a pipe would be waited for
                raise UserError(f"{path}: must be a regular file")
            path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise UserError(
            f"tls_cert {cert} and tls_key {key} must be a certificate and its key, in PEM and "
            f"without a password: {error}"
        ) from None
