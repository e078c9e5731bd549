"""Where a server is, as people write it."""

from raylax.cluster.errors import UserError


def base_of(url: str) -> str:
    """The server's address from what was typed or pasted: `127.0.0.1:8000`, `http://…/v1/`."""
    with_scheme = url if "://" in url else f"http://{url}"
    return with_scheme.rstrip("/").removesuffix("/v1")


def nobody_at(url: str) -> UserError:
    return UserError(f"no raylax answers at {url}; start one by `raylax serve`")
