"""Processor time of processes and all that they have started."""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from engines.machine import TICK_S


def seconds_of(pids: Iterable[int]) -> float:
    """User and system time so far, of these and of their descendants that are there, each once."""
    children: dict[int, list[int]] = defaultdict(list)
    seconds: dict[int, float] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{entry}/stat").read_text()
        except OSError:
            continue  # it has just ended
        fields = stat.rpartition(")")[2].split()
        children[int(fields[1])].append(int(entry))
        seconds[int(entry)] = (int(fields[11]) + int(fields[12])) * TICK_S
    found, ahead = set[int](), list(pids)
    while ahead:
        if (pid := ahead.pop()) not in found:
            found.add(pid)
            ahead += children.get(pid, [])
    return sum(seconds.get(pid, 0.0) for pid in found)
