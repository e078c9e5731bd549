"""What must be there before: secrets, whose values stand in no manifest."""

from collections.abc import Iterator

from raylax.cluster.manifests.site import Site


def needs(site: Site) -> Iterator[str]:
    """Lines for whoever installs it."""
    create = "kubectl create secret"
    if site.has_keys:
        yield (
            f"API keys, as a file with a section keys (`raylax key NAME` makes its lines): "
            f"{create} generic {site.name}-keys --from-file=keys.yaml"
        )
        yield (
            f"The key of an admin, by which Prometheus asks: "
            f"{create} generic {site.name}-metrics --from-literal=key=KEY"
        )
    if site.has_tls:
        yield (
            f"The certificate of gRPC, and with tls_client_ca ca.crt, too: "
            f"{create} generic {site.name}-tls --from-file=tls.crt --from-file=tls.key"
        )
    if site.head.pulls:
        yield (
            f"If the hub asks for a token: "
            f"{create} generic {site.name}-hub --from-literal=token=TOKEN"
        )
    if site.claim is not None and site.claim_size is None:
        yield f"A volume claim that all pods can mount and write (ReadWriteMany): {site.claim}"
    yield (
        f"Clients ask {site.name}:{site.port} by HTTP and {site.name}-grpc:{site.grpc_port} by "
        f"gRPC; " + ("a key is asked for" if site.has_keys else "nobody is asked for a key")
    )
