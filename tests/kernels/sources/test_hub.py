"""Repositories of a hub, on a server that speaks its API: by the real client library."""

import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from huggingface_hub import hf_hub_download, snapshot_download

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources import download
from raylax.kernels.sources.download import Unreachable
from raylax.kernels.sources.events import Events
from raylax.kernels.sources.hub import HuggingFace, Settings
from raylax.kernels.sources.policy import Policy
from raylax.kernels.sources.source import Repository, source_of
from tests.support.fake_hub import FakeHub, Repo, sha256

LARGE = "model.safetensors"
NOWHERE = "http://127.0.0.1:9"
Had = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0.001)


@pytest.fixture
def had(hub: FakeHub, tmp_path: Path) -> Had:
    """A model of the hub by what is typed."""

    def fetch(model: str, policy: Policy = Policy.ON, out: io.StringIO | None = None,
              endpoint: str = hub.url, is_offline: bool = False) -> Path:  # fmt: skip
        asked = source_of(model, lambda path: False, hub.url)
        assert isinstance(asked, Repository)
        settings = Settings(endpoint, tmp_path / "cache", is_offline)
        return HuggingFace(asked, policy, Events(out or io.StringIO()), settings).fetch()

    return fetch


def mistake(had: Had, model: str, **more: object) -> str:
    with pytest.raises((CheckpointError, Unreachable)) as caught:
        had(model, **more)
    assert str(caught.value).isprintable()
    return str(caught.value)


def ranges(hub: FakeHub) -> list[str]:
    """Where each connection for the large file began."""
    return [asked for _, path, asked in hub.asked if path.endswith(LARGE) and "/cdn/" in path]


def test_a_checkpoint_and_nothing_beside_it(
    hub: FakeHub, llama: dict[str, bytes], had: Had, tmp_path: Path
) -> None:
    """It lies in the client library's cache, in which others find it, too."""
    hub.repos["org/tiny"] = Repo(llama)
    found = had("org/tiny", out=(told := io.StringIO()))
    events = [json.loads(line) for line in told.getvalue().splitlines()]
    size = sum(file.stat().st_size for file in found.iterdir())

    assert open_checkpoint(found).spec.hidden == 64
    assert sorted(p.name for p in found.iterdir()) == sorted(
        name for name in llama if name.endswith((".json", ".safetensors")) and "/" not in name
    )
    assert not {"README.md", "pytorch_model.bin", "params.json"} & {*hub.downloads()}
    assert events[0]["note"].startswith(f"org/tiny: {len([*found.iterdir()])} files, ")
    assert events[0]["note"].endswith(f"MB, apache-2.0, from {hub.url}")
    assert events[-1] == {"bytes": ["org/tiny", size, size]}
    cached: dict[str, Any] = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    assert hf_hub_download("org/tiny", LARGE, **cached) == str(found / LARGE)
    assert snapshot_download("org/tiny", **cached) == str(found)


def test_what_is_here_is_not_downloaded_again(
    hub: FakeHub, llama: dict[str, bytes], had: Had
) -> None:
    """But what has changed is."""
    hub.repos["org/tiny"] = Repo(dict(llama))
    first = had("org/tiny")
    hub.asked.clear()
    assert had("HF://org/tiny") == first
    assert hub.downloads() == []

    hub.repos["org/tiny"].files["generation_config.json"] = b'{"temperature": 0.5}'
    second = had("org/tiny")

    assert hub.downloads() == ["generation_config.json"]
    assert (second / "generation_config.json").read_text() == '{"temperature": 0.5}'
    assert (second / LARGE).resolve() == (first / LARGE).resolve()


def test_a_cache_that_may_only_be_read(
    hub: FakeHub, llama: dict[str, bytes], had: Had, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is good enough where all is in it."""
    hub.repos["org/tiny"] = Repo(llama)
    place = had("org/tiny")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError("read-only")

    for name in ("mkdir", "write_text", "unlink", "symlink_to"):
        monkeypatch.setattr(Path, name, refused)

    assert had("org/tiny") == place


def test_what_another_program_has_downloaded_is_taken(
    hub: FakeHub, llama: dict[str, bytes], had: Had, tmp_path: Path
) -> None:
    hub.repos["org/tiny"] = Repo(llama)
    hf_hub_download("org/tiny", LARGE, cache_dir=tmp_path / "cache", endpoint=hub.url)
    hub.asked.clear()

    assert open_checkpoint(had("org/tiny")).spec.hidden == 64
    assert LARGE not in hub.downloads()


def test_a_revision(hub: FakeHub, llama: dict[str, bytes], had: Had) -> None:
    """By its name, and in an address."""
    old = {**llama, "generation_config.json": b'{"top_k": 1}'}
    hub.repos["org/tiny"] = Repo(llama, {"v1": old, "refs/pr/1": old})
    ways = "org/tiny@v1", f"{hub.url}/org/tiny/tree/v1", "HF://org/tiny@refs/pr/1"
    (place,) = {had(model) for model in ways}

    assert (place / "generation_config.json").read_bytes() == b'{"top_k": 1}'
    assert had("org/tiny") != place
    assert had(f"org/tiny@{place.name}") == place


def test_a_gguf_by_its_quantisation(hub: FakeHub, ggufs: dict[str, bytes], had: Had) -> None:
    """The file alone; its name stays one of a GGUF."""
    hub.repos["org/tiny-GGUF"] = Repo({**ggufs, "README.md": b"", "config.json": b"{}"})
    found = had("hf.co/org/tiny-GGUF:q8_0")

    assert found.name == "Tiny-Q8_0.gguf"
    assert open_checkpoint(found).spec.hidden == 64
    assert {*hub.downloads()} == {"Tiny-Q8_0.gguf"}
    assert "has no GGUF of Q4_0, but F16, Q8_0" in mistake(had, "org/tiny-GGUF:Q4_0")
    assert had("org/tiny-GGUF/Tiny-F16.gguf").name == "Tiny-F16.gguf"


def test_a_connection_that_breaks(hub: FakeHub, llama: dict[str, bytes], had: Had) -> None:
    """Each time it goes on where it was cut; five times in a row without a byte are enough."""
    hub.repos["org/tiny"] = Repo(llama)
    hub.cuts[LARGE] = [40_000, 30_000, 0, 0, 0, 0, 10_000]
    assert open_checkpoint(had("org/tiny")).spec.hidden == 64
    assert ranges(hub) == ["", "bytes=40000-", *["bytes=70000-"] * 5, "bytes=80000-"]

    hub.cuts[LARGE] = [0] * 5
    said = mistake(had, "org/tiny", policy=Policy.REDO)
    assert said.startswith("org/tiny: model.safetensors: ")
    assert said.endswith("; the next start goes on where this one stopped")


def test_a_connection_that_stands_still(
    hub: FakeHub, llama: dict[str, bytes], had: Had, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is given up, and another one goes on."""
    monkeypatch.setattr(download, "TIMEOUT", httpx.Timeout(0.2))
    hub.repos["org/tiny"] = Repo(llama)
    hub.stalls[LARGE] = 128 << 10

    assert open_checkpoint(had("org/tiny")).spec.hidden == 64
    assert ranges(hub) == ["", "bytes=131072-", "bytes=262144-"]


def test_content_that_is_another(
    hub: FakeHub, llama: dict[str, bytes], had: Had, tmp_path: Path
) -> None:
    """As long as it should be, or shorter, or longer: nothing of it is kept."""
    hub.repos["org/tiny"] = Repo(llama)
    good = llama[LARGE]
    for lie, said in (
        (b"x" * len(good), "what came is another file than what is listed: its checksum is"),
        (good[:-1], f"should have {len(good)} bytes, {len(good) - 1} came"),
        (good + b"x", f"should have {len(good)} bytes, {len(good) + 1} came"),
    ):
        hub.lies[LARGE] = lie
        assert said in mistake(had, "org/tiny")
        assert list(tmp_path.rglob(f"{sha256(good)}.incomplete")) == []
    hub.lies.clear()

    assert open_checkpoint(had("org/tiny")).spec.hidden == 64


def test_a_small_file_that_is_another(hub: FakeHub, llama: dict[str, bytes], had: Had) -> None:
    """Git's own checksums are looked at, too."""
    hub.repos["org/tiny"] = Repo(llama)
    hub.lies["config.json"] = llama["config.json"].replace(b"64", b"46")

    assert "config.json: what came is another file" in mistake(had, "org/tiny")


def test_a_file_that_fails_ends_the_others(
    hub: FakeHub, llama: dict[str, bytes], had: Had, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes on behind what was said of it."""
    monkeypatch.setattr(download, "TIMEOUT", httpx.Timeout(0.2))
    hub.repos["org/tiny"] = Repo(llama)
    hub.lies["config.json"] = b"{}"
    hub.stalls[LARGE] = 128 << 10
    before = set(threading.enumerate())

    assert "config.json: should have" in mistake(had, "org/tiny")
    ours = set(threading.enumerate()) - before
    assert [one.name for one in ours if one.name.startswith("download")] == []


@pytest.mark.parametrize("there", [5000, 10**6])
def test_a_part_of_another_file_is_begun_again(
    hub: FakeHub, llama: dict[str, bytes], had: Had, tmp_path: Path, there: int
) -> None:
    """Such as a program that was killed while it wrote may leave."""
    hub.repos["org/tiny"] = Repo(llama)
    blobs = tmp_path / "cache" / "models--org--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{sha256(llama[LARGE])}.incomplete").write_bytes(b"x" * there)

    assert open_checkpoint(had("org/tiny")).spec.hidden == 64
    assert ranges(hub)[-1] == ""


def test_a_gated_repository(
    hub: FakeHub, llama: dict[str, bytes], had: Had, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its list is for everybody, its files for who has a token; who stores them is not shown it."""
    hub.repos["org/gated"] = Repo(llama, token="secret")
    for token in ("", "another"):
        monkeypatch.setenv("HF_TOKEN", token)
        said = mistake(had, "org/gated")
        assert said.startswith("org/gated: its owner gives it to who has accepted the conditions")
        assert f"{hub.url}/org/gated" in said and "HF_TOKEN" in said

    monkeypatch.setenv("HF_TOKEN", "secret")
    assert open_checkpoint(had("org/gated")).spec.hidden == 64
    assert {path.split("/")[1] for path, _ in hub.shown} == {"api", "org"}
    assert LARGE in hub.downloads()


def test_a_private_repository(
    hub: FakeHub, llama: dict[str, bytes], had: Had, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["org/mine"] = Repo(llama, token="secret", is_private=True)

    assert "for a private one, HF_TOKEN must be a token" in mistake(had, "org/mine")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert open_checkpoint(had("org/mine")).spec.hidden == 64


def test_what_the_hub_does_not_have(hub: FakeHub, llama: dict[str, bytes], had: Had) -> None:
    hub.repos["org/tiny"] = Repo(llama)
    hub.repos["org/empty"] = Repo({"README.md": b""})

    assert mistake(had, "org/none").startswith("org/none: there is no such directory here, and no")
    assert "has no revision v9: no branch, tag or commit" in mistake(had, "org/tiny@v9")
    assert "there is no model of ours in it" in mistake(had, "org/empty")


def test_a_hub_that_lists_a_way_out(
    hub: FakeHub, llama: dict[str, bytes], had: Had, tmp_path: Path
) -> None:
    hub.repos["org/evil"] = Repo({**llama, "../../../../evil.json": b"{}"})

    assert "which is no name of a file" in mistake(had, "org/evil")
    assert list(tmp_path.rglob("evil.json")) == []


@pytest.mark.parametrize("how", [{"endpoint": NOWHERE}, {"is_offline": True}])
def test_without_a_network(
    hub: FakeHub, llama: dict[str, bytes], ggufs: dict[str, bytes], had: Had, tmp_path: Path,
    how: dict[str, object],
) -> None:  # fmt: skip
    """What was downloaded is taken; else it is said what is there."""
    hub.repos["org/tiny"] = Repo(llama)
    hub.repos["org/tiny-GGUF"] = Repo(ggufs)
    models = "org/tiny", "org/tiny-GGUF:F16"
    places = [had(model) for model in models]
    hub.asked.clear()
    why = f"{NOWHERE} cannot be reached" if "endpoint" in how else "HF_HUB_OFFLINE is set"

    assert [had(model, **how) for model in models] == places
    said = mistake(had, "org/other", **how)
    assert said.startswith(why)
    assert said.endswith(f", and {tmp_path}/cache has no org/other of revision main")
    assert "has no GGUF of Q8_0, but F16" in mistake(had, "org/tiny-GGUF:Q8_0", **how)
    assert mistake(had, "org/tiny@v2", **how).endswith(
        f"{tmp_path}/cache has no org/tiny of revision v2, only main"
    )
    assert hub.asked == []


def test_a_snapshot_of_which_a_part_is_missing(
    hub: FakeHub, llama: dict[str, bytes], had: Had
) -> None:
    """Is none, without a network."""
    parts = {f"tiny-q8_0-0000{i}-of-00002.gguf": b"x" * 2000 for i in (1, 2)}
    hub.repos["org/split"] = Repo(parts)
    place = had("org/split")
    place.with_name("tiny-q8_0-00002-of-00002.gguf").unlink()

    assert "is of 2 parts, and 1 are there" in mistake(had, "org/split", is_offline=True)


def test_a_hub_in_trouble(hub: FakeHub, llama: dict[str, bytes], had: Had) -> None:
    """Is as good as none, and one that answers as no hub does is one in trouble."""
    hub.repos["org/tiny"] = Repo(llama)
    place = had("org/tiny")
    for status in (429, 503, 200):
        hub.failing = status

        assert had("org/tiny") == place
        assert mistake(had, "org/other").startswith(hub.url)


def test_the_policies(hub: FakeHub, llama: dict[str, bytes], had: Had) -> None:
    """READONLY asks nobody; REDO replaces what is there when the new one is whole."""
    hub.repos["org/tiny"] = Repo(llama)
    assert "POLICY is READONLY, and " in mistake(had, "org/tiny", policy=Policy.READONLY)
    assert hub.asked == []
    place = had("org/tiny")
    before = (place / LARGE).stat().st_ino
    hub.asked.clear()
    assert had("org/tiny", policy=Policy.READONLY) == place
    assert hub.asked == []

    hub.lies[LARGE] = b"x" * len(llama[LARGE])
    assert "another file" in mistake(had, "org/tiny", policy=Policy.REDO)
    assert (place / LARGE).stat().st_ino == before
    hub.lies.clear()
    assert had("org/tiny", policy=Policy.REDO) == place
    assert (place / LARGE).stat().st_ino != before


def test_a_full_disk_is_known_before(
    hub: FakeHub, llama: dict[str, bytes], had: Had, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what the hub says of sizes."""
    hub.repos["org/tiny"] = Repo(llama)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    said = mistake(had, "org/tiny")

    assert "MB must be downloaded, and 0.0 MB are free; HF_HOME names another place" in said
    assert hub.downloads() == []
