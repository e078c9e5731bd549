"""Stands in for Ray's dashboard agent: a program that does nothing, in a few MiB.

Each node's raylet waits for an agent, and ends when it has gone. Ray's own serves its dashboard and
its metrics, of which a cluster of ours has neither; it takes 2 s of a core to start. As Ray's does
where Ray is installed without its dashboard, this one says -1 for each of its ports. Imports
nothing of ours or of Ray's: it is run as a file.
"""

import os
import select
import sys
from pathlib import Path

PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
NOT_IN_USE = "-1"


def run(arguments: list[str]) -> None:
    """Says that no port is in use, and returns when the raylet has gone. Takes the arguments of
    Ray's agent."""
    raylet = os.pidfd_open(os.getppid())
    given = dict(one.split("=", 1) for one in arguments if one.startswith("--") and "=" in one)
    for name in PORTS:
        file = Path(given["--session-dir"], f"{name}_{given['--node-id']}")
        new = file.with_suffix(".new")
        new.write_text(NOT_IN_USE)
        new.rename(file)
    select.select([raylet], [], [])


if __name__ == "__main__":
    run(sys.argv[1:])
