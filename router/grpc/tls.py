"""Certificates, as gRPC wants them. For HTTP see `raylax.cluster.ray_patches.tls`."""

import logging
from pathlib import Path

import grpc

from raylax.router.config import RouterConfig

log = logging.getLogger(__name__)


def credentials(config: RouterConfig) -> grpc.ServerCredentials | None:
    """The certificate and key that the configuration names, and whose certificates clients must
    show; None: nothing is encrypted. The files must lie where the router runs; once they have
    changed, handshakes are by what is in them then."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    authorities = None if config.tls_client_ca is None else Path(config.tls_client_ca)
    files = CertificateFiles(Path(config.tls_cert), Path(config.tls_key), authorities)
    return grpc.dynamic_ssl_server_credentials(
        files.read(),
        files.read_if_changed,  # type: ignore[arg-type]  # None is allowed: no change
        require_client_authentication=authorities is not None,
    )


class CertificateFiles:
    """What a server shows and whom it believes. gRPC asks before each handshake, on any thread."""

    def __init__(self, cert: Path, key: Path, authorities: Path | None) -> None:
        self._cert, self._key, self._authorities = cert, key, authorities
        self._read: object = None

    def read(self) -> grpc.ServerCertificateConfiguration:
        """What they hold. Raises OSError."""
        self._read = self._state()
        key, certificates = self._key.read_bytes(), self._cert.read_bytes()
        authorities = None if self._authorities is None else self._authorities.read_bytes()
        return grpc.ssl_server_certificate_configuration([(key, certificates)], authorities)

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What they hold now; None: the same as before, or nothing that can be read."""
        try:
            return None if self._state() == self._read else self.read()
        except OSError as error:
            log.error("certificates cannot be read, those of before stay: %s", error)
            return None

    def _state(self) -> object:
        found = [path.stat() for path in (self._cert, self._key, self._authorities) if path]
        return [(one.st_ino, one.st_mtime_ns, one.st_size) for one in found]
