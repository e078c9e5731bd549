"""Where a server is, as people write it, and what is said when nobody answers there."""

import os

from raylax.cluster.errors import UserError

API_KEY = "RAYLAX_API_KEY"


def base_of(url: str) -> str:
    """The server's address from what was typed or pasted: `127.0.0.1:8000`, `http://…/v1/`."""
    with_scheme = url if "://" in url else f"http://{url}"
    return with_scheme.rstrip("/").removesuffix("/v1")


def credentials() -> dict[str, str]:
    """Headers that show the key of the environment, if there is one."""
    key = os.environ.get(API_KEY)
    return {"Authorization": f"Bearer {key}"} if key else {}


def needs_key(url: str) -> UserError:
    """The error to raise when a server answers 401."""
    return UserError(f"{url} wants an API key: put one that it knows into {API_KEY}")


def nobody_at(url: str) -> UserError:
    """The error to raise when no answer comes, or none of ours."""
    return UserError(f"no raylax answers at {url}; start one by `raylax serve`")
