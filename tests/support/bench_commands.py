"""The benchmarks as commands, on a tiny checkpoint of theirs, and a peer that plays llama.cpp."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.paths import BENCH


def started(script: str, *arguments: object) -> "subprocess.Popen[str]":
    """A benchmark that runs, its output and errors in pipes."""
    command = [sys.executable, str(BENCH / script), *(str(one) for one in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(script: str, *arguments: object, patience_s: float = 150) -> tuple[int, str, str]:
    """How it ended, its output and its errors. After `patience_s` it is killed."""
    with started(script, *arguments) as process:
        try:
            out, errors = process.communicate(timeout=patience_s)
        finally:
            process.kill()
        return process.returncode, out, errors


def peer(path: Path, shell: str) -> Path:
    """A program of these lines of shell, in the place of llama.cpp or of a Python."""
    path.write_text(f"#!/bin/sh\n{shell}\n")
    path.chmod(0o755)
    return path


def descendants(pid: int) -> set[int]:
    """Of every generation, whatever session they are in."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue  # it has just ended
        parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}
