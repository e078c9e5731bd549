"""Other machines may join the cluster that the driver has started: what they are told."""

from collections.abc import Callable

from raylax.cluster.application.versions import model_id
from raylax.cluster.cluster_secret import read
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.membership.door import Door
from raylax.cluster.membership.said import Served, Welcome, own_versions, told_of
from raylax.cluster.models.lookup import find_models
from raylax.cluster.models.memory import plan_engines
from raylax.cluster.models.names import deployment_names
from raylax.cluster.placement import cpus_of_the_machine, places


class Doorway:
    """What is told follows the configuration that is served. Written by the driver's main thread,
    read by those of the door."""

    def __init__(self, config: ClusterConfig, gcs: str, note: Callable[[str], None]) -> None:
        """Opens the door. `gcs`: Ray's registry. Raises UserError."""
        place, file = config.joined_at, config.cluster_secret
        assert place is not None and file is not None
        self._gcs = gcs
        self._welcome: Welcome | None = None
        self.serve(config)
        try:
            self.door = Door(place, read(file), self._told, note)
        except OSError as error:
            raise UserError(f"{place} cannot be used: {error.strerror}; --cluster") from None

    def _told(self) -> Welcome:
        assert self._welcome is not None
        return self._welcome

    def serve(self, config: ClusterConfig) -> None:
        """From now on. Raises UserError, and then nothing changes."""
        models = find_models(config)
        told = zip(models, plan_engines(models), strict=True)
        names = deployment_names([model.name for model in models])
        room = places(config, names)
        if self._welcome is not None and self._welcome.places != room:
            before = ", ".join(one.name for one in self._welcome.models)
            raise UserError(
                f"models: machines have joined for {before}; other names, more of them or fewer "
                "take a new start"
            )
        self._welcome = Welcome(
            versions=own_versions(),
            time_s=0.0,
            gcs=self._gcs,
            config=told_of(config, models),
            models=tuple(
                Served(
                    name=model.name,
                    checkpoint=str(model.checkpoint),
                    model_id=model_id(model.checkpoint, model.config),
                    engine=engine.asjson(),
                )
                for model, engine in told
            ),
            cpus=cpus_of_the_machine(config),
            places=room,
        )
