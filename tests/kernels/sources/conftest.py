"""A hub on this machine, and models in it."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import close_session

from raylax.kernels.sources.events import Events
from tests.support.checkpoints import write_checkpoint
from tests.support.fake_hub import FakeHub, Heard
from tests.support.gguf_files import write_gguf

VARIABLES = (
    "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "XDG_CACHE_HOME", "MLC_DOWNLOAD_CACHE_POLICY",
    "MODELSCOPE_API_TOKEN", "PIP_CERT", "UV_DEFAULT_INDEX", "UV_INDEX_URL",
)  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Where everybody is sent, with nothing downloaded yet."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with FakeHub().running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", hub.url)
        monkeypatch.setenv("PIP_INDEX_URL", f"{hub.url}/simple")
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("RAYLAX_STORE", str(tmp_path / "store"))
        yield hub
        close_session()  # huggingface_hub keeps its connections for who asks again


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A checkpoint's files, and what lies beside them in many repositories."""
    path = write_checkpoint(tmp_path_factory.mktemp("hub"))
    files = {file.name: file.read_bytes() for file in path.iterdir()}
    return {
        **files,
        "README.md": b"words",
        "pytorch_model.bin": b"weights" * 999,
        "original/params.json": b"{}",
        "original/consolidated.00.pth": b"again" * 999,
    }


@pytest.fixture(scope="session")
def ggufs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same model twice."""
    directory, made = tmp_path_factory.mktemp("gguf"), dict[str, bytes]()
    for kind in ("F16", "Q8_0"):
        write_gguf(directory / kind, kind=kind)
        made[f"Tiny-{kind}.gguf"] = (directory / kind / "model.gguf").read_bytes()
    return made


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def events() -> Events:
    """Told to nobody."""
    return Events(io.StringIO())
