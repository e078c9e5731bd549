"""Hugging Face's hub: what a repository holds, and its files in huggingface_hub's own cache.

The client library knows tokens, mirrors (HF_ENDPOINT) and where the cache lies, and asks; files
come by `download.py`, into the layout that every program of Hugging Face reads.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from raylax.kernels.errors import CheckpointError
from raylax.kernels.sources import places
from raylax.kernels.sources.contents import Contents, write
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
from raylax.kernels.sources.files import Listed, Wanted, listed, wanted
from raylax.kernels.sources.policy import Policy
from raylax.kernels.sources.source import Repository

ASK_S = 10.0
"""How long the hub may take to answer."""
COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
ELSEWHERE = "HF_HOME names another place for the cache"


@dataclass(frozen=True, slots=True)
class Settings:
    """What huggingface_hub has read from the environment, and from its files."""

    endpoint: str = constants.ENDPOINT
    cache: Path = Path(constants.HF_HUB_CACHE)
    is_offline: bool = constants.HF_HUB_OFFLINE
    token: str | None = None
    """None: what HF_TOKEN says, or `hf auth login` has left."""


class HuggingFace:
    """One repository, asked for once."""

    def __init__(
        self, asked: Repository, policy: Policy, events: Events, settings: Settings | None = None
    ) -> None:
        self._asked, self._policy, self._events = asked, policy, events
        self._hub = settings or Settings()
        folder = repo_folder_name(repo_id=asked.name, repo_type="model")
        self._contents = Contents(self._hub.cache / folder, self._hub.cache / ".locks" / folder)
        self._revision = asked.revision or constants.DEFAULT_REVISION

    def fetch(self) -> Path:
        """The checkpoint's directory or file. Raises CheckpointError; Unreachable if the hub is,
        and nothing fits in the cache."""
        if self._policy is Policy.READONLY:
            return self._cached(f"MLC_DOWNLOAD_CACHE_POLICY is {self._policy}")
        try:
            commit, listing, licence = self._ask()
        except Unreachable as error:
            found = self._cached(str(error))
            if not self._hub.is_offline:
                self._events.note(f"{error}: taking what was downloaded before")
            return found
        try:
            return self._download(commit, wanted(listing, self._asked), licence)
        except Refused as error:
            raise self._worded(error) from None
        except Unreachable as error:
            raise CheckpointError(f"{self._asked}: {error}; {RESUMED}") from None

    def _ask(self) -> tuple[str, list[Listed], str]:
        """The commit, its files, and the licence. Raises CheckpointError, Unreachable."""
        if self._hub.is_offline:
            raise Unreachable("HF_HUB_OFFLINE is set")
        try:
            info = HfApi(self._hub.endpoint, token=self._hub.token).model_info(
                self._asked.name, revision=self._revision, files_metadata=True, timeout=ASK_S
            )
        except (HfHubHTTPError, HFValidationError) as error:
            raise self._mistake(error) from None
        except Exception as error:  # of the connection, in the words of the library's own library
            raise Unreachable(
                f"{self._hub.endpoint} cannot be reached ({reason_of(error)})"
            ) from None
        if info.sha is None or not COMMIT.fullmatch(info.sha):
            raise Unreachable(f"{self._hub.endpoint} does not answer as a hub does")
        listing = [
            Listed(
                file.rfilename,
                file.size or 0,
                file.lfs.sha256 if file.lfs else file.blob_id or "",
            )
            for file in info.siblings or ()
        ]
        licence = getattr(info.card_data, "license_name", None) or getattr(
            info.card_data, "license", None
        )
        return info.sha, listing, str(licence or "no licence is named")

    def _download(self, commit: str, chosen: Wanted, licence: str) -> Path:
        """All of it that is not in the cache. Raises CheckpointError, Refused, Unreachable."""
        for file in chosen.files:
            if not DIGEST.fullmatch(file.digest):
                raise CheckpointError(f"{self._asked}: {file.path} is listed without a checksum")
        jobs = self._contents.jobs(
            chosen.files,
            lambda file: hf_hub_url(
                self._asked.name, file.path, revision=commit, endpoint=self._hub.endpoint
            ),
            redo=self._policy is Policy.REDO,
        )
        if jobs:
            places.check_room(self._contents.folder, jobs, ELSEWHERE)
            what = chosen.model or f"{len(chosen.files)} files"
            self._events.note(
                f"{self._asked}: {what}, {places.size(chosen.size)}, {licence}, "
                f"from {self._hub.endpoint}"
            )
            progress = Progress(str(self._asked), jobs, self._events.bytes)
            with client(build_hf_headers(token=self._hub.token, library_name="raylax")) as http:
                download_all(http, jobs, progress.count)
        self._contents.lay_out(commit, chosen.files)
        if commit != self._revision:
            write(self._contents.folder / "refs" / self._revision, commit)
        return self._contents.snapshot(commit) / chosen.model

    def _cached(self, why: str) -> Path:
        """What the cache has of it. Raises Unreachable, with `why` nobody else is asked."""
        reference = self._contents.folder / "refs" / self._revision
        commit = reference.read_text().strip() if reference.is_file() else self._revision
        there = self._contents.listing(commit) if COMMIT.fullmatch(commit) else []
        if not there:
            raise Unreachable(
                f"{why}, and {self._hub.cache} has no {self._asked.name} of revision "
                f"{self._revision}{self._others()}"
            )
        try:
            return self._contents.snapshot(commit) / wanted(there, self._asked).model
        except CheckpointError as error:
            raise Unreachable(f"{why}, and of what is in {self._hub.cache}: {error}") from None

    def _others(self) -> str:
        """Which revisions the cache does have of it."""
        references = self._contents.folder / "refs"
        names = [str(p.relative_to(references)) for p in references.rglob("*") if p.is_file()]
        return f", only {listed(sorted(names))}" if names else ""

    def _mistake(self, error: Exception) -> Exception:
        """What the library raises, as what is wrong: the order is that of its classes."""
        asked, page = self._asked, f"{self._hub.endpoint}/{self._asked.name}"
        match error:
            case GatedRepoError():
                return self._gated()
            case DisabledRepoError():
                return CheckpointError(f"{asked}: its repository has been disabled: {page}")
            case RepositoryNotFoundError():
                return CheckpointError(
                    f"{asked}: there is no such directory here, and no such repository at {page}; "
                    "for a private one, HF_TOKEN must be a token that may read it"
                )
            case RevisionNotFoundError():
                return CheckpointError(
                    f"{asked}: {page} has no revision {self._revision}: no branch, tag or commit"
                )
            case HfHubHTTPError():
                status = error.response.status_code
                if status == 401:
                    return CheckpointError(
                        f"{asked}: {self._hub.endpoint} does not take the token of HF_TOKEN, or of "
                        "`hf auth login`"
                    )
                if status >= 500 or status in (408, 429):
                    return Unreachable(f"{self._hub.endpoint} answered {status}")
                return CheckpointError(f"{asked}: {page} answered {status}")
        return CheckpointError(f"{asked}: {reason_of(error)}")

    def _gated(self) -> CheckpointError:
        page = f"{self._hub.endpoint}/{self._asked.name}"
        return CheckpointError(
            f"{self._asked}: its owner gives it to who has accepted the conditions on {page}: do "
            "so, then set HF_TOKEN to a token of that account, or run `hf auth login`"
        )

    def _worded(self, error: Refused) -> CheckpointError:
        """Of a file that the hub does not hand out, though it lists it."""
        if error.code == "GatedRepo" or error.status in (401, 403):
            return self._gated()
        return CheckpointError(f"{self._asked}: {error}")
