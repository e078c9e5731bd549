"""HTTPS: HAProxy, Serve's front door, shows our certificate. Serve has no setting for that.

Certificate and key lie in one file of the run's directory, as HAProxy wants them; where there is
that file, its configuration says so.
"""

import os
import ssl
from pathlib import Path

from raylax.cluster.environment import RUN_DIRECTORY
from raylax.cluster.errors import UserError

FILE = "tls.pem"
BIND = "bind {{ config.frontend_host }}:{{ config.frontend_port }}"
"""The line of HAProxy's template that opens the port for clients."""


def check_certificate(cert: Path, key: Path) -> None:
    """Raises UserError unless both can be read and belong together."""
    for path in (cert, key):
        try:
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


def bring_certificate(cert: Path, key: Path, directory: Path) -> None:
    """To where HAProxy finds it."""
    file = directory / FILE
    file.touch(mode=0o600)
    file.write_bytes(b"\n".join(path.read_bytes() for path in (cert, key)))


def show_certificate() -> None:
    """In every process of Serve, before it writes HAProxy's configuration."""
    file = Path(os.environ.get(RUN_DIRECTORY, os.devnull)) / FILE
    if not file.is_file():
        return
    from ray.serve._private import haproxy_templates

    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    encrypted = f"{BIND} ssl crt {file} ssl-min-ver TLSv1.2"
    haproxy_templates.HAPROXY_CONFIG_TEMPLATE = template.replace(BIND, encrypted)
