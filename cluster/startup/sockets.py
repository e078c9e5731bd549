"""Which addresses processes listen on, as the kernel says."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

Address = IPv4Address | IPv6Address
TABLES = (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07"))
"""Of the kernel, with the state of a socket that takes what anybody sends: one that listens, and
one of UDP that is not connected."""


class OpenSocket(NamedTuple):
    """Where a process takes what comes from outside of it."""

    protocol: str
    """tcp or udp."""
    address: Address
    port: int
    pid: int


def listening(pids: Iterable[int]) -> set[tuple[Address, int]]:
    """Address and port of everything that one of the processes listens on."""
    return {(found.address, found.port) for found in open_sockets(pids)}


def open_sockets(pids: Iterable[int]) -> list[OpenSocket]:
    """All of the processes' sockets that listen. One that several have is each one's."""
    owners: dict[str, list[int]] = {}
    for pid in sorted(pids):
        for inode in sockets_of(pid):
            owners.setdefault(inode, []).append(pid)
    found = []
    for table, state in TABLES:
        for line in lines_of(Path("/proc/net") / table):
            _, local, _, its_state, *rest = line.split()
            if its_state == state:
                address, port = local.split(":")
                what = table.removesuffix("6"), unpacked(address), int(port, 16)
                found += [OpenSocket(*what, pid) for pid in owners.get(rest[5], ())]
    return found


def lines_of(table: Path) -> list[str]:
    """Without the heading; none where the kernel has no such protocol."""
    try:
        return table.read_text().splitlines()[1:]
    except OSError:
        return []


def sockets_of(pid: int) -> set[str]:
    """The sockets that a process has open, by their inodes."""
    found = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                target = os.readlink(entry.path)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found


def unpacked(text: str) -> Address:
    """The kernel prints words of four bytes in the machine's order."""
    words = [int(text[i : i + 8], 16) for i in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    if len(words) == 1:
        return IPv4Address(packed)
    address = IPv6Address(socket.inet_ntop(socket.AF_INET6, packed))
    return address.ipv4_mapped or address
