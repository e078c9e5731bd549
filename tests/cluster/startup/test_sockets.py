"""Which addresses a process listens on."""

import os
import socket
from ipaddress import ip_address

from raylax.cluster.startup.sockets import listening


def test_every_address_and_port_of_a_process_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as all_:
        found = listening([os.getpid()])

        assert (ip_address("127.0.0.1"), one.getsockname()[1]) in found
        assert (ip_address("0.0.0.0"), all_.getsockname()[1]) in found
    assert not {port for _, port in listening([os.getpid()])} & {port for _, port in found}


def test_other_processes_are_not_looked_at() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        assert listening([]) == set()
