"""What the guides say is so: each is followed from top to bottom, beside one served demo model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster_serving import READY, Serving, serving
from tests.support.guides import blocks_of, follow
from tests.support.paths import ROOT

GUIDES = [ROOT / "docs" / "quickstart.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    files = tmp_path_factory.mktemp("files")
    with serving("--files-directory", str(files)) as made:
        made.wait_until_it_says(READY)
        yield made


@pytest.mark.cluster
@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_is_right(guide: Path, served: Serving, tmp_path: Path) -> None:
    addresses = {
        "127.0.0.1:8000": f"127.0.0.1:{served.port}",
        "127.0.0.1:9000": f"127.0.0.1:{served.grpc_port}",
    }

    follow(guide, tmp_path, addresses)


def test_there_is_a_guide_for_each_line_of_the_index() -> None:
    index = ROOT / "docs" / "guides" / "index.md"
    linked = [guide.name for guide in GUIDES if f"]({guide.name})" in index.read_text()]

    assert linked == [guide.name for guide in GUIDES[1:] if guide != index]


@pytest.mark.parametrize("lie", ["```bash\nfalse\n```", "```bash\necho 4\n```\n\n```text\n5\n```",
    "```console\n$ raylax serve --no-such-option\n```", "```yaml\nno_such_key: 1\n```",
    "```python\nraise ValueError\n```", "```console\nraylax serve\n```"])  # fmt: skip
def test_a_lie_is_found(lie: str, tmp_path: Path) -> None:
    """Also in what is not run: commands that start a server, and files."""
    page = tmp_path / "guide.md"
    page.write_text(f"{lie}\n")

    assert len(blocks_of(page)) >= 1
    with pytest.raises(BaseException, match=".+"):
        follow(page, tmp_path, {"127.0.0.1:8000": "", "127.0.0.1:9000": ""})
