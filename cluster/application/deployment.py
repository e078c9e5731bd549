"""Puts the application on Ray Serve: for the first time, and again when its configuration changes.

Serve then replaces what must be replaced, one replica after another; what they were doing moves to
others, or waits for the next one.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError, reason_of
from raylax.cluster.models.lookup import find_models
from raylax.cluster.models.names import deployment_names
from raylax.cluster.placement import cpus_of_the_machine

NAME = "raylax"
RUNNING, FAILED, STARTING = "RUNNING", "DEPLOY_FAILED", "UPDATING"
"""Of Serve's states of applications and deployments."""
NO_PLACE = "to be scheduled"
"""In what Serve says of a deployment after half a minute."""
FIXED = (
    "host", "port", "grpc_port", "tls_cert", "tls_key", "tls_client_ca", "cluster", "cluster_secret"
)  # fmt: skip
"""Settings of the front door, and of that for other machines: each is opened once."""


def all_are_there(application: Any) -> bool:
    """Nothing is enough but that Serve says so."""
    return False


def others_wait_for_machines(application: Any) -> bool:
    """What does not run yet is what Serve can put nowhere, until another machine joins."""
    started = (RUNNING, "HEALTHY")
    left = [one for one in application.deployments.values() if one.status not in started]
    return bool(left) and all(NO_PLACE in one.message for one in left)


def deploy(config: ClusterConfig, by: str, enough: Callable[[Any], bool] = all_are_there) -> None:
    """Returns when all of it runs, or what there is is enough. Raises UserError with the reason of
    who did not start, also after limits.startup_timeout_s. `by`: who wants it, in words."""
    from ray import serve

    from raylax.cluster.application.app import build_application
    from raylax.cluster.application.token import cluster_token

    built = build_application(config, cluster_token(), by)
    target = serve.RunTarget(built, NAME, route_prefix="/")
    served = [model.name for model in find_models(config)]
    outside = dict(zip(deployment_names(served), served, strict=True))
    serve.run_many([target], wait_for_applications_running=False)
    wait_until_running(
        lambda: serve.status().applications[NAME],
        outside,
        config.limits.startup_timeout_s,
        enough=enough,
    )


def wait_until_running(
    look: Callable[[], Any],
    outside: Mapping[str, str],
    limit_s: float,
    every_s: float = 0.1,
    enough: Callable[[Any], bool] = all_are_there,
) -> None:
    """Returns when the application that is looked at runs, or what there is is enough. Raises
    UserError when it has failed, or is not there in time. `outside`: what the models are called
    whose workers are deployed."""
    deadline = time.monotonic() + limit_s
    while (now := look()).status != RUNNING:
        if now.status == FAILED:
            reasons = reasons_of(now, outside, (FAILED,)) or reason_of(now.message)
            raise UserError(f"the application did not start: {reasons}")
        if enough(now):
            return
        if time.monotonic() > deadline:
            reasons = reasons_of(now, outside, (STARTING, "UNHEALTHY")) or reason_of(now.message)
            raise UserError(
                f"the application did not start within limits.startup_timeout_s={limit_s:g}: "
                f"{reasons}"
            )
        time.sleep(every_s)


def reasons_of(application: Any, outside: Mapping[str, str], states: Collection[str]) -> str:
    """What Serve says of the deployments in these states, in one line."""
    found = []
    for name, deployment in application.deployments.items():
        if deployment.status in states:
            model = outside.get(name)
            who = name if model is None else f"the workers of {model}"
            found.append(f"{who}: {reason_of(deployment.message) or 'not there yet'}")
    return "; ".join(found)


def check_change(before: ClusterConfig, after: ClusterConfig) -> None:
    """Raises UserError for what needs a new start."""
    for name in FIXED:
        was, wanted = getattr(before, name), getattr(after, name)
        if was != wanted:
            raise UserError(f"{name} changes with a new start only: it is {was}, found {wanted}")
    if before.keys and not after.keys:
        raise UserError(
            f"keys: there are none any more, of {len(before.keys)}: everybody may ask then; this "
            f"takes a new start"
        )
    has, needs = cpus_of_the_machine(before), cpus_of_the_machine(after)
    if needs > has:
        raise UserError(
            f"there may be {has} ranks of workers until a new start, each with a core that Ray "
            f"knows of; found {needs}"
        )
