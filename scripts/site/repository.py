"""Links from pages of the site to what lies beside docs/ in the repository.

On the site these files lie below repository/, by their paths from the root. A folder stands for its
README.md; one that has none is no link there.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def linked(root: Path, pages: Iterable[Path]) -> list[str]:
    """The paths of all files beside docs/ to which these pages lead, also by way of each other."""
    found: dict[str, None] = {}
    waiting = list(pages)
    while waiting:
        page = waiting.pop()
        for link, _ in LINK.findall(page.read_text()):
            target = file_of(root, page.parent / link)
            if target is None or target.is_relative_to(root / "docs"):
                continue
            if (path := str(target.relative_to(root))) not in found:
                found[path] = None
                if target.suffix == ".md":
                    waiting.append(target)
    return list(found)


def file_of(root: Path, path: Path) -> Path | None:
    """The file that a link means, if there is one in the repository."""
    path = Path(os.path.normpath(path))
    path = path / "README.md" if path.is_dir() else path
    return path if path.is_file() and path.is_relative_to(root) else None


def relinked(root: Path, uri: str, markdown: str) -> str:
    """A page's text with the links as the site has them. `uri` is its place on the site."""
    of_repository = uri.startswith("repository/")
    source = root / uri.removeprefix("repository/") if of_repository else root / "docs" / uri

    def link(found: re.Match[str]) -> str:
        target = file_of(root, source.parent / found[1])
        if target is None:
            lost = not source.exists() or not (source.parent / found[1]).is_dir()
            return found[0] if lost else "]"
        if target.is_relative_to(root / "docs"):
            at = target.relative_to(root / "docs")
        else:
            at = "repository" / target.relative_to(root)
        return f"]({os.path.relpath(at, Path(uri).parent)}{found[2] or ''})"

    return LINK.sub(link, markdown)
