"""HTTPS: HAProxy, Serve's front door, shows our certificate. Serve has no setting for that.

Certificate and key lie in one file of the run's directory, as HAProxy wants them, and in another
one the authorities whose certificates clients must show; where there are those files, its
configuration says so. Routers read the same ones.
"""

from collections.abc import Sequence
from pathlib import Path

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.environment import run_directory
from raylax.cluster.node_certificates import write_private
from raylax.cluster.ray_patches.replacing import put

FILE, CLIENT_CA = "tls.pem", "client-ca.pem"
BIND = "bind {{ config.frontend_host }}:{{ config.frontend_port }}"
"""The line of HAProxy's template that opens the port for clients."""


def bring_certificates(config: ClusterConfig, directory: Path) -> None:
    """Writes them to where HAProxy and routers find them, for this user's eyes only; each file is
    there as a whole or not at all."""
    if config.tls_cert is not None and config.tls_key is not None:
        write(directory / FILE, [config.tls_cert, config.tls_key])
    if config.tls_client_ca is not None:
        write(directory / CLIENT_CA, [config.tls_client_ca])


def write(file: Path, parts: Sequence[Path]) -> None:
    """What the parts hold, in place of what was there."""
    write_private(file, b"\n".join(part.read_bytes() for part in parts))


def brought(config: ClusterConfig) -> dict[str, str | None]:
    """Where a router finds the files, by its settings: in the run's directory, if there is one."""
    directory = run_directory()
    names = {"tls_cert": FILE, "tls_key": FILE, "tls_client_ca": CLIENT_CA}
    found = {name: (getattr(config, name), file) for name, file in names.items()}
    return {
        name: None if given is None else str(given if directory is None else directory / file)
        for name, (given, file) in found.items()
    }


def show_certificate() -> None:
    """HAProxy serves HTTPS if the run has a certificate. To be called in every process of Serve,
    before it writes HAProxy's configuration."""
    if (directory := run_directory()) is None or not (directory / FILE).is_file():
        return
    from ray.serve._private import haproxy_templates

    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    template = template.replace(BIND, encrypted(directory))
    put(haproxy_templates, "HAPROXY_CONFIG_TEMPLATE", template)


def encrypted(directory: Path) -> str:
    """The line with our certificate; and with no handshake for who has none, if it must be so."""
    line = f"{BIND} ssl crt {directory / FILE} ssl-min-ver TLSv1.2"
    authorities = directory / CLIENT_CA
    return f"{line} ca-file {authorities} verify required" if authorities.is_file() else line


def certificates_of_the_run() -> list[tuple[int, int]]:
    """What changes with the files that HAProxy reads when it starts; empty without any."""
    if (directory := run_directory()) is None:
        return []
    found = [directory / name for name in (FILE, CLIENT_CA)]
    return [(one.st_ino, one.st_mtime_ns) for one in map(Path.stat, filter(Path.is_file, found))]
