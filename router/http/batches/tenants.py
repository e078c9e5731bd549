"""What the tenant that asks has, where the cluster keeps files."""

from pathlib import Path

from raylax.proto.errors import InvalidRequest
from raylax.router.access.caller import caller
from raylax.router.config import RouterConfig
from raylax.router.files.storage import Storage, TenantStorage


class Tenants:
    """Finds the caller's part of the directory."""

    def __init__(self, config: RouterConfig) -> None:
        self._storage = Storage(Path(config.files), config.limits) if config.files else None

    @property
    def storage(self) -> TenantStorage:
        """Raises InvalidRequest where there is no directory."""
        if self._storage is None:
            raise InvalidRequest(
                "this cluster keeps no files: serve it with --files-directory to have batches"
            )
        return self._storage.of(caller().tenant)
