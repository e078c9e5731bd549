"""HTTPS: HAProxy, Serve's front door, shows our certificate. Serve has no setting for that.

Certificate and key lie in one file of the run's directory, as HAProxy wants them; where there is
that file, its configuration says so.
"""

import os
from pathlib import Path

from raylax.cluster.environment import RUN_DIRECTORY

FILE = "tls.pem"
BIND = "bind {{ config.frontend_host }}:{{ config.frontend_port }}"
"""The line of HAProxy's template that opens the port for clients."""


def bring_certificate(cert: Path, key: Path, directory: Path) -> None:
    """Writes both to where HAProxy finds them, for this user's eyes only."""
    file = directory / FILE
    file.touch(mode=0o600)
    file.write_bytes(b"\n".join(path.read_bytes() for path in (cert, key)))


def show_certificate() -> None:
    """HAProxy serves HTTPS if the run has a certificate. To be called in every process of Serve,
    before it writes HAProxy's configuration."""
    file = Path(os.environ.get(RUN_DIRECTORY, os.devnull)) / FILE
    if not file.is_file():
        return
    from ray.serve._private import haproxy_templates

    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    encrypted = f"{BIND} ssl crt {file} ssl-min-ver TLSv1.2"
    haproxy_templates.HAPROXY_CONFIG_TEMPLATE = template.replace(BIND, encrypted)
