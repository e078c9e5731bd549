"""Puts the application on Ray Serve: for the first time, and again when its configuration changes.

Serve then replaces what must be replaced, one replica after another; what they were doing moves to
others, or waits for the next one.
"""

from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.placement import cpus_of_the_machine

NAME = "raylax"
FIXED = ("host", "port", "grpc_port", "tls_cert", "tls_key")
"""Settings of the front door, which is opened once."""


def deploy(config: ClusterConfig) -> None:
    """Returns when all of it runs. Raises UserError with the reason of who did not start."""
    from ray import serve

    from raylax.cluster.application.app import build_application
    from raylax.cluster.application.token import cluster_token

    application = build_application(config, cluster_token())
    try:
        serve.run(application, name=NAME, route_prefix="/")
    except RuntimeError as error:
        deployments = serve.status().applications[NAME].deployments
        failed = {n: d.message for n, d in deployments.items() if d.status == "DEPLOY_FAILED"}
        reasons = [f"{name}: {reason_of(message)}" for name, message in failed.items()]
        why = "; ".join(reasons) or reason_of(str(error))
        raise UserError(f"the application did not start: {why}") from None


def reason_of(text: str) -> str:
    """The last line of a replica's traceback says what happened."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line]
    return (errors or lines)[-1]


def check_change(before: ClusterConfig, after: ClusterConfig) -> None:
    """Raises UserError for what needs a new start."""
    for name in FIXED:
        was, wanted = getattr(before, name), getattr(after, name)
        if was != wanted:
            raise UserError(f"{name} changes with a new start only: it is {was}, found {wanted}")
    has, needs = cpus_of_the_machine(before), cpus_of_the_machine(after)
    if needs > has:
        raise UserError(
            f"there may be {has} ranks of workers until a new start, each with a core that Ray "
            f"knows of; found {needs}"
        )
