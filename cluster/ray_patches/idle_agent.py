"""Stands in for either of Ray's agents: a program that does nothing, in a few MiB.

Each node's raylet waits for two agents, and ends when one has gone. Ray's own serve its dashboard
and its metrics, of which a cluster of ours has neither, and make environments of workers, of which
ours have none of their own; each takes 2 s of a core to start. As Ray's does where Ray is installed
without its dashboard, this one says -1 for its ports. Imports nothing of ours or of Ray's: it is
run as a file.
"""

import os
import select
import sys
from pathlib import Path

PORTS = {
    "--grpc-port": "metrics_agent_port",
    "--metrics-export-port": "metrics_export_port",
    "--listen-port": "dashboard_agent_listen_port",
    "--runtime-env-agent-port": "runtime_env_agent_port",
}
"""Under which name an agent makes known the port that it has been told by an argument."""
NOT_IN_USE = "-1"
KNOWN = "--runtime-env-agent-port"
"""The one port that Ray itself has chosen, and wants to hear again."""


def run(arguments: list[str]) -> None:
    """Makes its ports known, and returns when the raylet has gone. Takes the arguments of
    Ray's agent."""
    raylet = os.pidfd_open(os.getppid())
    given = dict(one.split("=", 1) for one in arguments if one.startswith("--") and "=" in one)
    for argument in PORTS.keys() & given.keys():
        file = Path(given["--session-dir"], f"{PORTS[argument]}_{given['--node-id']}")
        new = file.with_suffix(".new")
        new.write_text(given[argument] if argument == KNOWN else NOT_IN_USE)
        new.rename(file)
    select.select([raylet], [], [])


if __name__ == "__main__":
    run(sys.argv[1:])
