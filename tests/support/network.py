"""Hosts of a small network, in namespaces of this machine's kernel: each has its own interfaces,
and a cable that can be pulled."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Host:
    """Shares files and processes with this machine, and no interface."""

    name: str
    address: str
    cable: str

    @property
    def before(self) -> list[str]:
        """What runs a command there."""
        return ["ip", "netns", "exec", self.name]

    def pull_the_cable(self) -> None:
        """Nobody says goodbye."""
        ip("link", "set", self.cable, "down")

    def plug_it_in(self) -> None:
        ip("link", "set", self.cable, "up")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def network(count: int) -> Iterator[list[Host]]:
    """Hosts that reach each other, and that this machine reaches. Skips the test where it may not
    make any."""
    number = os.getpid() % 250
    bridge = f"rx{number}"
    with ExitStack() as stack:
        try:
            ip("link", "add", bridge, "type", "bridge")
            stack.callback(ip, "link", "del", bridge)
            ip("addr", "add", f"198.18.{number}.254/24", "dev", bridge)
            ip("link", "set", bridge, "up")
            made = [host(stack, bridge, number, index) for index in range(1, count + 1)]
        except FileNotFoundError:
            pytest.skip("hosts are network namespaces, which `ip` of iproute2 makes")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"hosts are network namespaces: {error.stderr.strip()}")
        yield made


def host(stack: ExitStack, bridge: str, number: int, index: int) -> Host:
    made = Host(f"rx{number}-{index}", f"198.18.{number}.{index}", f"rx{number}v{index}")
    ip("netns", "add", made.name)
    stack.callback(ip, "netns", "del", made.name)
    ip("link", "add", made.cable, "type", "veth", "peer", "name", "eth0", "netns", made.name)
    ip("link", "set", made.cable, "master", bridge, "up")
    ip("-n", made.name, "addr", "add", f"{made.address}/24", "dev", "eth0")
    for interface in ("eth0", "lo"):
        ip("-n", made.name, "link", "set", interface, "up")
    return made
