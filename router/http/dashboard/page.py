"""The files of the page at /dashboard, which are read once, and the headers that they go with.

They come from nowhere else, and may ask nobody else: so says the policy that browsers hold the page
to. None of them tells anything of the cluster; who may see that is asked for a key by the feed.
"""

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from raylax.proto.errors import NotFound, shown

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
)
KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
INDEX = "index.html"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page."""

    content: bytes
    kind: str
    """Its media type."""
    etag: str

    @property
    def headers(self) -> dict[str, str]:
        """A browser keeps it, and asks each time whether it is still the same."""
        return {
            "Content-Type": self.kind,
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
            "ETag": self.etag,
        }


@cache
def assets() -> dict[str, Asset]:
    """All of them, by their path below assets/."""
    return dict(found(files("raylax.router.http.dashboard").joinpath("assets")))


def found(folder: Traversable, above: str = "") -> list[tuple[str, Asset]]:
    """What lies in a folder, and in those below."""
    here: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        name = above + entry.name
        if entry.is_dir():
            here += found(entry, f"{name}/")
        elif (kind := KINDS.get(entry.name[entry.name.rfind(".") :])) is not None:
            content = entry.read_bytes()
            here.append((name, Asset(content, kind, f'"{sha256(content).hexdigest()[:16]}"')))
    return here


def asset(name: str) -> Asset:
    """Raises NotFound for what is no file of the page."""
    if (there := assets().get(name)) is None:
        raise NotFound(f"no file of the dashboard is named {shown(name)}", param="path")
    return there
