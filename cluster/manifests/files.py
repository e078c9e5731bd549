"""Manifests as files, and as one text."""

from collections.abc import Mapping
from pathlib import Path

from raylax.cluster.config.reading import checked, read_yaml
from raylax.cluster.config.schema import ClusterConfig
from raylax.cluster.errors import UserError
from raylax.cluster.manifests.around import around
from raylax.cluster.manifests.chart import chart
from raylax.cluster.manifests.fit import check_fits, check_options
from raylax.cluster.manifests.needs import needs
from raylax.cluster.manifests.service import ray_service
from raylax.cluster.manifests.site import Options, Site, site_of
from raylax.cluster.manifests.words import text_of

FIRST = "ray-service"


def manifests(file: Path | None, options: Options, helm: bool) -> dict[str, str]:
    """Texts by the paths of their files; of a chart, if it shall be one. Raises UserError: the
    file's line and what cannot be there."""
    check_options(options)
    config = checked(ClusterConfig, read_yaml(file) if file else {}, file)
    check_fits(config, options, file)
    site = site_of(config, options)
    return chart(site, config) if helm else plain(site)


def plain(site: Site) -> dict[str, str]:
    """Resources without a chart. The first file begins with what must be there before."""
    said = "".join(f"# {line}\n" for line in needs(site))
    resources = {FIRST: ray_service(site), **around(site)}
    texts = {f"{name}.yaml": text_of(resource) for name, resource in resources.items()}
    return {**texts, f"{FIRST}.yaml": said + texts[f"{FIRST}.yaml"]}


def write(texts: Mapping[str, str], directory: Path) -> None:
    """Each into its file. Raises UserError."""
    try:
        for name, text in texts.items():
            file = directory / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {directory}: cannot be written: {error.strerror}") from None
