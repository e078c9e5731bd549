"""A server that speaks the APIs of Hugging Face's hub, of ModelScope and of a package index.

Real clients ask it by real connections. Its faults are those of networks: it is slow, it breaks
off, it sends something else.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from raylax.kernels.sources.events import Audience

LFS_FROM = 1000
"""Bytes of a file that git alone does not keep."""
PIECE = 1 << 14


class Heard:
    """What was told of a download."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[str, float | None]] = []

    @property
    def audience(self) -> Audience:
        return Audience(self.notes.append, lambda *step: self.steps.append(step))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repo:
    """A repository of one commit for each revision."""

    files: dict[str, bytes]
    revisions: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Others than main."""
    token: str = ""
    """Who may read a gated or a private one."""
    is_private: bool = False
    licence: str = "apache-2.0"

    def commits(self) -> dict[str, dict[str, bytes]]:
        """Files by revision and by commit."""
        named = {"main": self.files, "master": self.files, **self.revisions}
        return {**named, **{commit_of(files): files for files in named.values()}}


def commit_of(files: dict[str, bytes]) -> str:
    facts = sorted((name, sha256(content)) for name, content in files.items())
    return hashlib.sha1(repr(facts).encode()).hexdigest()


@dataclass
class FakeHub:
    """What it serves, what it does wrong, and what it was asked."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    packages: dict[str, bytes] = field(default_factory=dict)
    """Files of the package index."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and Range of each request."""
    shown: list[tuple[str, str]] = field(default_factory=list)
    """Paths, and the keys that were shown there."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """After how many bytes of a body the next connections break, by the end of the path."""
    lies: dict[str, bytes] = field(default_factory=dict)
    """What is sent instead of a file, though another one is listed."""
    stalls: dict[str, int] = field(default_factory=dict)
    """After how many bytes a body stands still until `go`."""
    go: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)
    failing: int = 0
    """The status of all answers, if not 0."""

    @contextmanager
    def running(self) -> Iterator["FakeHub"]:
        """On a port of its own."""

        class Handler(BaseHTTPRequestHandler):
            hub = self
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer(self, self.hub)

            def do_HEAD(self) -> None:
                answer(self, self.hub)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Whoever has gone away is no fault."""

        server = Server(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.go.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def downloads(self) -> list[str]:
        """Files whose contents were asked for, by name."""
        return [path.rpartition("/")[2] for method, path, _ in self.asked if is_content(path)]


def is_content(path: str) -> bool:
    return "/cdn/" in path or "/resolve/" in path or "/packages/" in path or "FilePath=" in path


def answer(request: BaseHTTPRequestHandler, hub: FakeHub) -> None:
    """Whatever is asked."""
    hub.asked.append((request.command, request.path, request.headers.get("Range", "")))
    hub.shown += [(request.path, key) for key in [request.headers.get("Authorization")] if key]
    url = urlsplit(request.path)
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    if hub.failing:
        return say(request, hub.failing, {})
    match parts:
        case ["api", "models", org, name, "revision", revision]:
            repo_info(request, hub, f"{org}/{name}", revision)
        case [org, name, "resolve", revision, *path]:
            resolve(request, hub, f"{org}/{name}", revision, "/".join(path))
        case ["cdn", digest, _]:
            found = next(
                content
                for repo in hub.repos.values()
                for files in repo.commits().values()
                for content in files.values()
                if sha256(content) == digest
            )
            send(request, hub, found)
        case ["api", "v1", "models", org, name, "repo", "files"]:
            modelscope_files(request, hub, f"{org}/{name}", query["Revision"])
        case ["api", "v1", "models", org, name, "repo"]:
            files = hub.repos[f"{org}/{name}"].commits()[query["Revision"]]
            send(request, hub, files[query["FilePath"]], query["FilePath"])
        case ["simple", package]:
            index_page(request, hub, package)
        case ["packages", file]:
            send(request, hub, hub.packages[file])
        case _:
            say(request, 404, {"error": "Not Found"})


def say(
    request: BaseHTTPRequestHandler, status: int, body: Any, headers: dict[str, str] | None = None
) -> None:
    """A status, with JSON."""
    text = json.dumps(body).encode()
    request.send_response(status)
    sent = {"Content-Type": "application/json", "Content-Length": str(len(text)), **(headers or {})}
    for name, value in sent.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(text)


def refused(request: BaseHTTPRequestHandler, hub: FakeHub, name: str, revision: str) -> bool:
    """Whether it was answered with what is wrong, as the hub answers."""
    repo = hub.repos.get(name)
    known = request.headers.get("Authorization") == f"Bearer {repo.token}" if repo else False
    if repo is None or (repo.is_private and not known):
        say(request, 401, {"error": "Invalid username or password."},
            {"X-Error-Code": "RepoNotFound"})  # fmt: skip
    elif revision not in repo.commits():
        say(request, 404, {"error": f"Invalid rev id: {revision}"},
            {"X-Error-Code": "RevisionNotFound"})  # fmt: skip
    elif "/resolve/" in request.path and repo.token and not known:
        say(request, 403, {"error": "Access to model is restricted."},
            {"X-Error-Code": "GatedRepo"})  # fmt: skip
    else:
        return False
    return True


def repo_info(request: BaseHTTPRequestHandler, hub: FakeHub, name: str, revision: str) -> None:
    if refused(request, hub, name, revision):
        return
    repo = hub.repos[name]
    files = repo.commits()[revision]
    siblings = []
    for path, content in files.items():
        entry: dict[str, Any] = {"rfilename": path, "size": len(content)}
        entry["blobId"] = git_blob(content)
        if len(content) >= LFS_FROM:
            entry["lfs"] = {"size": len(content), "sha256": sha256(content), "pointerSize": 134}
        siblings.append(entry)
    gated = "auto" if repo.token and not repo.is_private else False
    say(request, 200, {
        "_id": "1", "id": name, "modelId": name, "sha": commit_of(files), "private": False,
        "gated": gated, "disabled": False, "tags": [], "downloads": 0, "likes": 0,
        "cardData": {"license": repo.licence}, "siblings": siblings,
    })  # fmt: skip


def resolve(
    request: BaseHTTPRequestHandler, hub: FakeHub, name: str, revision: str, path: str
) -> None:
    """A small file at once, a large one from elsewhere."""
    if refused(request, hub, name, revision):
        return
    files = hub.repos[name].commits()[revision]
    if path not in files:
        return say(request, 404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
    content, commit = files[path], {"X-Repo-Commit": commit_of(files)}
    if len(content) < LFS_FROM:
        return send(request, hub, content, path, {**commit, "ETag": f'"{git_blob(content)}"'})
    digest = sha256(content)
    linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
    elsewhere = hub.url.replace("127.0.0.1", "localhost")
    place = f"{elsewhere}/cdn/{digest}/{path.rpartition('/')[2]}"
    return say(request, 302, {}, {**commit, **linked, "Location": place})


def modelscope_files(
    request: BaseHTTPRequestHandler, hub: FakeHub, name: str, revision: str
) -> None:
    repo = hub.repos.get(name)
    if repo is None or revision not in repo.commits():
        return say(request, 404, {"Code": 10010205001, "Message": "record not found"})
    files = [
        {"Path": path, "Name": path, "Size": len(content), "Type": "blob",
         "Sha256": sha256(content)}
        for path, content in repo.commits()[revision].items()
    ]  # fmt: skip
    tree = {"Path": "original", "Name": "original", "Size": 0, "Type": "tree", "Sha256": ""}
    return say(request, 200, {"Code": 200, "Success": True, "Data": {"Files": [tree, *files]}})


def index_page(request: BaseHTTPRequestHandler, hub: FakeHub, package: str) -> None:
    beginning = package.replace("-", "_")
    names = [name for name in hub.packages if name.startswith(beginning)]
    if not names:
        return say(request, 404, {})
    links = "".join(f'<a href="../../packages/{n}#sha256=0" >{n}</a><br/>\n' for n in names)
    text = f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
    request.send_response(200)
    request.send_header("Content-Type", "text/html")
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text)


def send(
    request: BaseHTTPRequestHandler,
    hub: FakeHub,
    content: bytes,
    path: str = "",
    headers: dict[str, str] | None = None,
) -> None:
    """A file, or what is left of it; with whatever goes wrong."""
    name = (path or request.path).rpartition("/")[2]
    content = hub.lies.get(name, content)
    asked = request.headers.get("Range", "")
    begin = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
    body = content[begin:]
    request.send_response(206 if asked else 200)
    if asked:
        request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    for header, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
        request.send_header(header, value)
    request.end_headers()
    if request.command == "HEAD":
        return
    cut = hub.cuts[name].pop(0) if hub.cuts.get(name) else len(body)
    for start in range(0, min(cut, len(body)), PIECE):
        request.wfile.write(body[start : min(start + PIECE, cut)])
        if name in hub.stalls and start + PIECE >= hub.stalls[name]:
            request.wfile.flush()
            hub.stalled.set()
            hub.go.wait()
    if cut < len(body):
        request.close_connection = True
