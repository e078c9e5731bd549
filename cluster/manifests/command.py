"""`raylax manifests`: what Kubernetes is told."""

from pathlib import Path
from typing import Annotated

import typer

from raylax.cluster.errors import UserError


def manifests(
    config: Annotated[
        Path | None, typer.Option(help="A raylax.yaml; without one the demo model is served.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The directory to write; else: shown.")
    ] = None,
    helm: Annotated[bool, typer.Option("--helm", help="A chart of the same resources.")] = False,
    name: Annotated[str, typer.Option(help="Of the RayService and its Service.")] = "raylax",
    namespace: Annotated[
        str | None, typer.Option(help="Where they are; else where they are applied, or default.")
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="With raylax in it, of user 10001; else raylax:VERSION.")
    ] = None,
    volume_claim: Annotated[
        str | None,
        typer.Option(help="Of a volume that all pods share, for models and what is compiled."),
    ] = None,
    volume_size: Annotated[
        str | None, typer.Option(help="As 200Gi: the claim is made, too; else it must be there.")
    ] = None,
    storage_class: Annotated[
        str | None, typer.Option(help="Of that volume, which all pods write; else the default.")
    ] = None,
    cpus: Annotated[int, typer.Option(min=1, help="Of a worker's pod.")] = 4,
    memory: Annotated[str, typer.Option(help="Of a worker's pod.")] = "8Gi",
) -> None:
    """Write what Kubernetes with KubeRay is told to serve this: a RayService and what belongs
    around it, or a Helm chart. What cannot work there is named, with the line of the file.

    Example: [bold]raylax manifests --config raylax.yaml --namespace llm | kubectl apply -f -[/]

    Example: [bold]raylax manifests --config raylax.yaml --helm --output chart[/]
    """
    from raylax.cluster.manifests import files
    from raylax.cluster.manifests.site import Options

    if helm and output is None:
        raise UserError("--helm makes a chart of several files: say its directory by --output")
    defaults = Options()
    options = Options(
        name, namespace, image or defaults.image, volume_claim, volume_size, storage_class, cpus,
        memory,
    )  # fmt: skip
    texts = files.manifests(config, options, helm)
    if output is None:
        print("---\n".join(texts.values()), end="")
    else:
        files.write(texts, output)
