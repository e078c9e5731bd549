"""Which addresses processes listen on, as the kernel says."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

Address = IPv4Address | IPv6Address
LISTEN = "0A"


def listening(pids: Iterable[int]) -> set[tuple[Address, int]]:
    """Address and port of every TCP socket that one of the processes listens on."""
    inodes = {inode for pid in pids for inode in sockets_of(pid)}
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTEN and rest[5] in inodes:
                address, port = local.split(":")
                found.add((unpacked(address), int(port, 16)))
    return found


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
