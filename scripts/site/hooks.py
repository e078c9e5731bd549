"""What the site has besides docs/: references made of the code, and pages that lie elsewhere in the
repository, so far as others link to them."""

from pathlib import Path

from cli_reference import commands_page
from http_reference import document, http_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from repository import linked, relinked

ROOT = Path(__file__).parents[2]
HOME = """---
hide: [navigation, toc]
---

<meta http-equiv="refresh" content="0; url=quickstart/">

[Quickstart](quickstart.md)
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    made = {
        "index.md": HOME,
        "reference/commands.md": commands_page(),
        "reference/http.md": http_page(document()),
        "reference/openapi.json": document(as_text=True),
    }
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    pages = [ROOT / "docs" / file.src_uri for file in files.documentation_pages()]
    for path in linked(ROOT, [page for page in pages if page.exists()]):
        file = File.generated(config, f"repository/{path}", content=(ROOT / path).read_bytes())
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return relinked(ROOT, page.file.src_uri, markdown)
