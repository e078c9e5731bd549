"""ModelScope's hub by its HTTP API, which asks for no library: a list of files, and the files."""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources import places
from raylax.kernels.sources.contents import Contents
from raylax.kernels.sources.download import (
    RESUMED,
    Progress,
    Refused,
    Unreachable,
    client,
    download_all,
    reason_of,
)
from raylax.kernels.sources.events import Events
from raylax.kernels.sources.files import Listed, Wanted, wanted
from raylax.kernels.sources.policy import Policy
from raylax.kernels.sources.source import Repository

DEFAULT_REVISION = "master"
SHA256 = re.compile(r"[0-9a-f]{64}")
ELSEWHERE = "RAYLAX_STORE names another place"


def endpoint() -> str:
    """`$MODELSCOPE_DOMAIN`, as ModelScope's own client has it, else the one in China."""
    named = os.environ.get("MODELSCOPE_DOMAIN") or "https://www.modelscope.cn"
    return (named if "://" in named else f"https://{named}").rstrip("/")


class ModelScope:
    """One repository, asked for once. Its files lie in a directory for each revision."""

    def __init__(self, asked: Repository, policy: Policy, events: Events) -> None:
        self._asked, self._policy, self._events = asked, policy, events
        self._revision = asked.revision or DEFAULT_REVISION
        self._api = f"{endpoint()}/api/v1/models/{asked.name}"
        self._commit = quote(self._revision, safe="")
        folder = places.models() / "modelscope" / asked.name
        self._contents = Contents(folder, folder / ".locks")
        token = os.environ.get("MODELSCOPE_API_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def fetch(self) -> Path:
        """The checkpoint's directory or file. Raises CheckpointError; Unreachable if the hub is,
        and nothing fits of what is here."""
        if self._policy is Policy.READONLY:
            return self._cached(f"MLC_DOWNLOAD_CACHE_POLICY is {self._policy}")
        with client(self._headers) as http:
            try:
                chosen = wanted(self._list(http), self._asked)
            except Unreachable as error:
                return self._cached(str(error))
            try:
                self._download(http, chosen)
            except (Refused, Unreachable) as error:
                raise CheckpointError(f"{self._asked}: {error}; {RESUMED}") from None
        return self._contents.snapshot(self._commit) / chosen.model

    def _list(self, http: httpx.Client) -> list[Listed]:
        url = f"{self._api}/repo/files"
        query = {"Revision": self._revision, "Recursive": "true"}
        try:
            answer = http.get(url, params=query)
            told = answer.json()
        except httpx.HTTPError as error:
            raise Unreachable(f"{endpoint()} cannot be reached ({reason_of(error)})") from None
        except ValueError:
            raise Unreachable(f"{endpoint()} does not answer as ModelScope does") from None
        if answer.status_code >= 500:
            raise Unreachable(f"{endpoint()} answered {answer.status_code}")
        files = told.get("Data") if isinstance(told, dict) else None
        if answer.status_code != 200 or not isinstance(files, dict):
            said = told.get("Message") if isinstance(told, dict) else None
            raise CheckpointError(
                f"{self._asked}: {endpoint()} has no such model of revision {self._revision}, or "
                f"keeps it to itself ({answer.status_code} {ascii(said)}); MODELSCOPE_API_TOKEN is "
                "a token for private ones"
            )
        return [
            listed for one in files.get("Files") or () if (listed := self._file(one)) is not None
        ]

    def _file(self, told: Any) -> Listed | None:
        """One of the list; None for a directory."""
        try:
            if told["Type"] == "tree":
                return None
            digest = str(told["Sha256"]).lower()
            file = Listed(str(told["Path"]), int(told["Size"]), digest)
        except (KeyError, TypeError, ValueError):
            raise Unreachable(f"{endpoint()} does not list files as ModelScope does") from None
        if not SHA256.fullmatch(file.digest):
            raise CheckpointError(f"{self._asked}: {ascii(file.path)} is listed without a checksum")
        return file

    def _download(self, http: httpx.Client, chosen: Wanted) -> None:
        jobs = self._contents.jobs(chosen.files, self._url, redo=self._policy is Policy.REDO)
        if jobs:
            places.check_room(self._contents.folder, jobs, ELSEWHERE)
            what = chosen.model or f"{len(chosen.files)} files"
            self._events.note(
                f"{self._asked}: {what}, {places.size(chosen.size)}, from {endpoint()}, where its "
                "licence stands"
            )
            progress = Progress(str(self._asked), jobs, self._events.bytes)
            download_all(http, jobs, progress.count)
        self._contents.lay_out(self._commit, chosen.files)

    def _url(self, file: Listed) -> str:
        query = f"Revision={quote(self._revision, safe='')}&FilePath={quote(file.path, safe='')}"
        return f"{self._api}/repo?{query}"

    def _cached(self, why: str) -> Path:
        """What is here of it. Raises Unreachable, with `why` nobody else is asked."""
        place = self._contents.snapshot(self._commit)
        if not (there := self._contents.listing(self._commit)):
            raise Unreachable(f"{why}, and nothing of it is in {place}")
        try:
            return place / wanted(there, self._asked).model
        except CheckpointError as error:
            raise Unreachable(f"{why}, and of what is in {place}: {error}") from None
