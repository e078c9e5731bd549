"""The blocks of a guide, and whether they do what the guide says."""

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from raylax.cluster.config.reading import read_config
from tests.support.cluster_options import COMMANDS, command_named

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
AT_A_SERVER = "chat|status|explain"
"""Commands that guides run without saying where a server is: it is at their default there."""


@dataclass(frozen=True)
class Block:
    language: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page.read_text())]


def follow(page: Path, directory: Path, addresses: Mapping[str, str]) -> None:
    """Does what a guide says, from top to bottom. Of what a block prints, the text block behind it
    has lines, or parts of such. `addresses`: what stands for those of the guide."""
    printed = ""
    for block in blocks_of(page):
        match block.language:
            case "python":
                program = [sys.executable, "-W", "error", "-c", at(block.text, addresses)]
                printed = output(program, directory)
            case "bash":
                script = shell(at(block.text, addresses), addresses["127.0.0.1:8000"])
                printed = output(["bash", "-euo", "pipefail", "-c", script], directory)
            case "text":
                missing = [line for line in block.text.splitlines() if line not in printed]
                assert missing == [], f"printed instead:\n{printed}"
            case "console":
                check_commands(block.text)
            case "yaml":
                file = directory / "raylax.yaml"
                file.write_text(block.text)
                read_config(file, {})
            case other:
                raise AssertionError(f"a guide has no blocks of {other or 'no language'}")


def at(text: str, addresses: Mapping[str, str]) -> str:
    for told, here in addresses.items():
        text = text.replace(told, here)
    return text


def shell(text: str, server: str) -> str:
    """With this environment's commands, told where the server is."""
    raylax = Path(sys.executable).with_name("raylax")
    ask = f'case $1 in {AT_A_SERVER}) set -- "$@" http://{server};; esac; {raylax} "$@"'
    return f"raylax() {{ {ask}; }}\n{text}"


def output(command: list[str], directory: Path) -> str:
    done = subprocess.run(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def check_commands(text: str) -> None:
    """Lines that begin with a prompt; those of raylax have options that there are."""
    for line in text.splitlines():
        assert line.startswith("$ "), f"no prompt: {line}"
        words = shlex.split(line[2:])
        if words[0] == "raylax":
            assert words[1] in COMMANDS
            command_named(words[1]).make_context(words[1], words[2:])
