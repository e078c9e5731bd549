"""Certificates, looked at before anything starts: their servers say less of what is wrong."""

import ssl
from pathlib import Path

from raylax.cluster.errors import UserError


def check_certificate(cert: Path, key: Path) -> None:
    """Raises UserError unless both can be read and belong together."""
    for path in (cert, key):
        check_readable(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        raise UserError(
            f"tls_cert {cert} and tls_key {key} must be a certificate and its key, in PEM and "
            f"without a password: {error}"
        ) from None


def check_authorities(file: Path) -> None:
    """Raises UserError unless the file has the certificates of authorities, and nothing else: by
    one that is none nobody could be known."""
    check_readable(file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(file)
        found = context.cert_store_stats()
        if (others := found["x509"] - found["x509_ca"]) or not found["x509_ca"]:
            raise ValueError(f"{others} of {found['x509']} are of no authority")
    except (ssl.SSLError, ValueError) as error:
        raise UserError(
            f"tls_client_ca {file} must hold the certificates of authorities, in PEM: {error}"
        ) from None


def check_readable(path: Path) -> None:
    """Raises UserError for what is no file that can be read."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise UserError(f"{path}: must be a regular file")
        path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
