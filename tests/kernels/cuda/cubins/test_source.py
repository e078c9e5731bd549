"""Machine code is named by the code that it was made from, and by all that this code reaches."""

from collections.abc import Callable
from pathlib import Path

import pytest

from raylax.kernels.cuda.cubins import source
from raylax.kernels.cuda.cubins.source import digest_of, file_of, module_of, reached

FILES = {
    "kernel": '"""Doc."""\nimport triton\nfrom made.deep import part\nX = 1  # why\n',
    "deep/part": "from made.deep.lowest import (\n    NUMBER,\n)\n",
    "deep/lowest": "import made.kernel\nNUMBER = 2\n",
    "deep/__init__": "",
    "stranger": "Y = 3\n",
}
Digest = Callable[..., str]


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digest:
    """Of `made.kernel`, after a file has got another text."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> None:
        path = tmp_path / "made" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def after(name: str = "kernel", old: str = "", new: str = "") -> str:
        for file, text in FILES.items():
            write(file, text.replace(old, new) if file == name else text)
        digest_of.cache_clear()
        return digest_of("made.kernel")

    return after


def test_what_a_kernel_reaches(digest: Digest) -> None:
    """By whatever form of import, in a circle, and nothing of other packages."""
    digest()

    assert set(reached("made.kernel")) == {
        "made.kernel", "made.deep", "made.deep.part", "made.deep.lowest"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("kernel", "X = 1", "X = 2"), ("deep/lowest", "NUMBER = 2", "NUMBER = 3")],
)
def test_another_text_is_another_digest(digest: Digest, name: str, old: str, new: str) -> None:
    assert digest(name, old, new) != digest()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("kernel", "Doc.", "Other words."),
        ("kernel", "  # why", ""),
        ("deep/part", "(\n    NUMBER,\n)", "NUMBER"),
        ("stranger", "3", "4"),
    ],
)
def test_words_and_what_is_not_reached_do_not_count(
    digest: Digest, name: str, old: str, new: str
) -> None:
    assert digest(name, old, new) == digest()


def test_our_own_sources_are_found_without_importing_them() -> None:
    assert module_of("matmul:linear") == "raylax.kernels.cuda.source.matmul"
    assert module_of("tests.support.cuda_mistakes:product") == "tests.support.cuda_mistakes"
    path = file_of(module_of("matmul:linear"))
    assert path is not None and path.parent.samefile(Path(source.__file__).parents[1] / "source")


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match="made_up"):
        digest_of("made_up.kernel")
