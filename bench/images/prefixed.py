"""Stages of a Dockerfile in one folder, where no system can be made: by anybody, without chroot.

Paths of the image are moved below the folder, in commands, too; all stages share it, so that what
one copies from another is there already. What only root can do in a system of its own is left out:
packages of Debian, and its user.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from images.dockerfile import Instruction, Stage, context_of
from images.rooted import HANDED_ON

OF_THE_SYSTEM = ("apt-get", "useradd")
"""Words of steps that are left out."""
PATHS = re.compile(r"(?<![\w./])/(?=(opt|src|dist|build|var/lib/raylax|usr/local/bin|home)\b)")
FROM_STAGES = "build/"
"""Where a step finds another stage."""


@dataclass
class Prefix:
    """What has become of the stages so far."""

    root: Path
    context: Path
    ignored: Path
    variables: dict[str, str] = field(default_factory=dict)
    directory: str = "/"
    said: dict[str, Instruction] = field(default_factory=dict)
    """The last ENTRYPOINT, CMD, HEALTHCHECK."""

    def __post_init__(self) -> None:
        """With this Python as the image's."""
        programs = self.root / "usr/local/bin"
        programs.mkdir(parents=True)
        (programs / "python").symlink_to(Path(sys.base_prefix) / "bin/python3")
        home = self.root / "home/raylax"
        home.mkdir(parents=True)
        (self.root / "var/lib/raylax").mkdir(parents=True, mode=0o700)
        path = f"{programs}:/usr/bin:/bin"
        self.variables |= {
            "PATH": path,
            "HOME": str(home),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        }

    def make(self, stages: dict[str, Stage], name: str) -> None:
        """A stage, and before it those that it is made of."""
        if name not in stages:
            return
        stage = stages.pop(name)
        self.make(stages, stage.base)
        for instruction in stage.instructions:
            if origin := instruction.options.get("from"):
                own = dict(self.variables), self.directory
                self.make(stages, origin)
                self.variables, self.directory = own
            self._do(instruction)

    def _do(self, instruction: Instruction) -> None:
        match instruction.name:
            case "ENV":
                for word in instruction.words:
                    name, _, value = word.partition("=")
                    value = self.moved(value).replace("$PATH", self.variables["PATH"])
                    self.variables[name] = value
            case "WORKDIR":
                self.directory = self.moved(instruction.text)
                Path(self.directory).mkdir(parents=True, exist_ok=True)
            case "COPY" if "from" not in instruction.options:
                self._copy(*instruction.words)
            case "RUN" if not any(word in instruction.text for word in OF_THE_SYSTEM):
                self.run(["/bin/sh", "-c", instruction.text])
            case "ENTRYPOINT" | "CMD" | "HEALTHCHECK":
                self.said[instruction.name] = instruction

    @property
    def environment(self) -> dict[str, str]:
        """That the steps have said, and what this machine is reached by."""
        return {
            **{name: os.environ[name] for name in HANDED_ON if name in os.environ},
            **self.variables,
        }

    def run(self, command: list[str]) -> str:
        """In the directory and environment that the steps have said. What it says is shown if it
        fails."""
        done = subprocess.run(
            [self.moved(word) for word in command],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            sys.exit(f"{done.stdout}\nerror: {command[-1]} failed")
        return done.stdout

    def moved(self, text: str) -> str:
        """With paths of the image below the folder."""
        return PATHS.sub(f"{self.root}/", text).replace(
            f"{self.root}/{FROM_STAGES}", f"{self.root}/"
        )

    def _copy(self, source: str, target: str) -> None:
        to = Path(self.moved(target))
        if source != ".":
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self.context / source, to)
            return
        kept, left_out = context_of(self.ignored)
        ignore = shutil.ignore_patterns(*left_out)
        to.mkdir(parents=True)
        for name in kept:
            path = self.context / name
            if path.is_dir():
                shutil.copytree(path, to / name, symlinks=True, ignore=ignore)
            else:
                shutil.copy(path, to / name)
