"""What a Dockerfile says: stages, and the instructions of each."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """`options` are those that begin with two dashes; `text` is the rest."""

    name: str
    options: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """Of the form in brackets, or between blanks."""
        return json.loads(self.text) if self.text.startswith("[") else self.text.split()


@dataclass(frozen=True)
class Stage:
    base: str
    """An image's name, or an earlier stage's."""
    instructions: list[Instruction] = field(default_factory=list)


def stages_of(text: str) -> dict[str, Stage]:
    """By name, in their order. A stage has a name here, and no variable is one of the file's own."""
    stages: dict[str, Stage] = {}
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)
    for line in filter(None, re.sub(r"\\\n\s*", " ", lines).splitlines()):
        name, _, rest = line.partition(" ")
        options = dict(re.findall(r"--(\w+)=(\S+)", begin := leading_options(rest)))
        instruction = Instruction(name, options, rest[len(begin) :].strip())
        if name == "FROM":
            base, _, called = instruction.text.partition(" AS ")
            stages[called] = stage = Stage(base)
        else:
            stage.instructions.append(instruction)
    return stages


def leading_options(text: str) -> str:
    found = re.match(r"(\s*--\w+=\S+)*", text)
    return found[0] if found else ""


def context_of(ignored: Path) -> tuple[list[str], list[str]]:
    """Of a .dockerignore that leaves out all but what it names: that, and the names that it leaves
    out at any depth."""
    lines = [line.strip() for line in ignored.read_text().splitlines()]
    kept = [line[1:] for line in lines if line.startswith("!")]
    return kept, [line[3:] for line in lines if line.startswith("**/")]
