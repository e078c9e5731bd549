"""Stages of a Dockerfile as folders: what docker does with it, where there is none.

A layer is the upper folder of an overlay, in which an instruction runs by chroot; an image is its
layers. Needs root and Linux, and a mount namespace of one's own, so that no mount outlives the
command. In the place of an image of Python stands Debian's own Python in its smallest system.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from images.dockerfile import Instruction, Stage, context_of

DEBIAN = "bookworm"
"""Whose Python is 3.11."""
INCLUDED = "ca-certificates,python3,python3-pip,python3-venv"
KEEPS_NOTHING = """\
APT::Keep-Downloaded-Packages "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
"""As the images of Debian have it."""
OUR_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
HANDED_ON = ("http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE")


@dataclass
class Image:
    """What has become of a stage so far; the newest layer is the last one."""

    layers: list[tuple[str, Path]]
    variables: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    directory: str = "/"
    user: str = "0"
    said: dict[str, Instruction] = field(default_factory=dict)
    """The last ENTRYPOINT, CMD, HEALTHCHECK and so on."""

    def copy(self) -> "Image":
        return Image([*self.layers], {**self.variables}, self.directory, self.user, {**self.said})


def run(*command: str | Path) -> None:
    """What it says is shown if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nerror: {shlex.join(words)} failed")


def make_base(directory: Path, debootstrap: str) -> None:
    """Debian with Python, which `python` in /usr/local/bin is."""
    if directory.exists():
        return
    unfinished = directory.with_suffix(".unfinished")
    run(debootstrap, "--variant=minbase", f"--include={INCLUDED}", DEBIAN, unfinished)
    (unfinished / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    (unfinished / "etc/apt/apt.conf.d/images").write_text(KEEPS_NOTHING)
    run("chroot", unfinished, "apt-get", "clean")
    unfinished.rename(directory)


class Builder:
    """Makes the stages of a Dockerfile, each once, below a directory."""

    def __init__(
        self, stages: dict[str, Stage], base: Path, work: Path, context: Path, ignored: Path
    ):
        self._stages, self._base, self._work = stages, base, work
        self._context, self._ignored = context, ignored
        self._made: dict[str, Image] = {}
        self._numbers = count()

    def made(self, name: str) -> Image:
        """A stage's image; of another image, the base that stands for it."""
        if name not in self._stages:
            return Image([(name, self._base)])
        if name not in self._made:
            stage = self._stages[name]
            image = self.made(stage.base).copy()
            for instruction in stage.instructions:
                self._do(image, instruction)
            self._made[name] = image
        return self._made[name]

    def _do(self, image: Image, instruction: Instruction) -> None:
        match instruction.name:
            case "ENV":
                for word in instruction.words:
                    name, _, value = word.partition("=")
                    image.variables[name] = value.replace("$PATH", image.variables["PATH"])
            case "WORKDIR":
                image.directory = instruction.text
                self._layer(image, instruction, lambda root: make(root, instruction.text))
            case "USER":
                image.user = instruction.text
            case "COPY":
                self._layer(image, instruction, lambda root: self._copy(image, instruction, root))
            case "RUN":
                self._layer(image, instruction, lambda root: self._run(image, instruction, root))
            case name:
                image.said[name] = instruction

    def _layer(
        self, image: Image, instruction: Instruction, change: Callable[[Path], None]
    ) -> None:
        upper = self._work / f"layer-{next(self._numbers)}"
        with mounted(image, self._work, upper) as root:
            change(root)
        image.layers.append((f"{instruction.name} {instruction.text}", upper))

    def _copy(self, image: Image, instruction: Instruction, root: Path) -> None:
        source, target = instruction.words
        to = root / target.lstrip("/")
        if origin := instruction.options.get("from"):
            with mounted(self.made(origin), self._work, self._work / "seen") as other:
                run("cp", "--archive", other / source.lstrip("/"), to)
        elif source == ".":
            kept, left_out = context_of(self._ignored)
            ignore = shutil.ignore_patterns(*left_out)
            for name in kept:
                path = self._context / name
                if path.is_dir():
                    shutil.copytree(path, to / name, symlinks=True, ignore=ignore)
                else:
                    to.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, to / name)
        else:
            shutil.copy(self._context / source, to)

    def _run(self, image: Image, instruction: Instruction, root: Path) -> None:
        """With the machine's network and the authorities that it trusts."""
        mount = dict(
            part.split("=") for part in instruction.options.get("mount", "").split(",") if part
        )
        if not mount:
            return in_root(image, root, ["/bin/sh", "-c", instruction.text])
        with mounted(self.made(mount["from"]), self._work, self._work / "seen") as other:
            at = make(root, mount["target"])
            run("mount", "--rbind", other, at)
            try:
                in_root(image, root, ["/bin/sh", "-c", instruction.text])
            finally:
                run("umount", "--recursive", at)
                at.rmdir()


def make(root: Path, directory: str) -> Path:
    path = root / directory.lstrip("/")
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def mounted(image: Image, work: Path, upper: Path) -> Iterator[Path]:
    """The image's files in one tree; what is changed there lies in `upper`."""
    scratch, root = Path(f"{upper}.work"), Path(f"{upper}.root")
    for directory in (upper, scratch, root):
        directory.mkdir(exist_ok=True)
    lower = ":".join(str(layer) for _, layer in reversed(image.layers))
    run(
        "mount",
        "-t",
        "overlay",
        "overlay",
        "-o",
        f"lowerdir={lower},upperdir={upper},workdir={scratch}",
        root,
    )
    try:
        yield root
    finally:
        run("umount", root)
        shutil.rmtree(scratch)
        root.rmdir()


def in_root(image: Image, root: Path, command: list[str]) -> None:
    """Runs it there, with what the machine has to be reached by, which lies there meanwhile only."""
    with lent(root):
        run(*inside(image, root, command))


def inside(image: Image, root: Path, command: list[str]) -> list[str]:
    """What runs it there as the image says: by its user, in its directory and environment."""
    given = {name: value for name, value in os.environ.items() if name in HANDED_ON}
    variables = {**given, "HOME": "/root", **image.variables, "DEBIAN_FRONTEND": "noninteractive"}
    words = [f"{name}={value}" for name, value in variables.items()]
    shell = ["sh", "-c", 'cd "$0" && exec "$@"', image.directory, *command]
    return [
        "chroot",
        f"--userspec={image.user}:{image.user}",
        str(root),
        "env",
        "-i",
        *words,
        *shell,
    ]


@contextmanager
def lent(root: Path) -> Iterator[None]:
    files = [OUR_CERTIFICATES, Path("/etc/resolv.conf"), Path("/etc/hosts")]
    mounts: list[Path] = []
    try:
        for file in filter(Path.exists, files):
            at = root / str(file).lstrip("/")
            at.parent.mkdir(parents=True, exist_ok=True)
            at.touch()
            run("mount", "--bind", file.resolve(), at)
            mounts.append(at)
        for directory in ("/proc", "/dev"):
            run("mount", "--rbind", directory, at := make(root, directory))
            mounts.append(at)
        yield
    finally:
        for at in reversed(mounts):
            run("umount", "--recursive", "--lazy", at)
