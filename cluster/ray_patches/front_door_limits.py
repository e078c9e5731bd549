"""How many may stand at the front door, and for how long without a word.

Serve lets 4,096 connections in, whoever has them, for an hour each. Here a request's head, and the
next request of a connection, must come within seconds, while an answer may last; one address has a
part of the connections only, and a small one while most of them are taken. This machine's own
addresses are one, since any user of it has all of them. To be called in every process of Serve,
before it writes HAProxy's configuration.
"""

import resource

from raylax.cluster.ray_patches.front_door import FRONTEND
from raylax.cluster.ray_patches.replacing import put
from raylax.proto.wire.connection_room import ConnectionRoom

MOST = 16_384
"""Connections of clients at once: a silent one takes HAProxy 1 to 3 KB, with TLS 45, and what has
come of a head 16 more."""
KEPT_BACK = 64
"""Connections that no client's may take, for who supervises it."""
OWN_FILES = 512
"""What HAProxy has open besides: for its threads, and checks of routers."""
HEAD_S = 10
"""For the head of a request, from the first moment of a connection on."""
IDLE_S = 10
"""For the next request of a connection."""
UNREAD_S = 60
"""How long a client may take nothing of what is there for it, or be silent within TLS's handshake:
HAProxy has one limit for both."""
ADDRESSES = 65_536
"""So many are remembered at most; those without a connection are forgotten first."""


def room_for(open_files: int) -> ConnectionRoom:
    """As many as a process with so many files has: each takes two, to the client and to a router,
    and every fourth may have a pipe between them. With more HAProxy would not start."""
    if open_files == resource.RLIM_INFINITY:
        return ConnectionRoom(MOST)
    return ConnectionRoom(max(16, min(MOST, (open_files - OWN_FILES) * 2 // 5 - KEPT_BACK)))


def limit_the_front_door() -> None:
    """Changes HAProxy's template."""
    from ray.serve._private import haproxy_templates

    _, open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    put(haproxy_templates, "HAPROXY_CONFIG_TEMPLATE", limited(template, room_for(open_files)))


def limited(template: str, room: ConnectionRoom) -> str:
    """The template with these limits."""
    template = template.replace(MAXCONN, f"maxconn {room.clients + KEPT_BACK}\n", 1)
    limits = LIMITS.format(
        room=room, head_s=HEAD_S, idle_s=IDLE_S, unread_s=UNREAD_S, addresses=ADDRESSES
    )
    return template.replace(FRONTEND, FRONTEND + limits, 1)


MAXCONN = "maxconn {{ config.maxconn }}\n"
LIMITS = """    maxconn {room.clients}
    timeout client {unread_s}s
    timeout http-request {head_s}s
    timeout http-keep-alive {idle_s}s
    stick-table type ipv6 size {addresses} expire 60s store conn_cur
    acl is_of_this_machine src -n 127.0.0.0/8 ::1
    tcp-request connection track-sc0 str(::1) if is_of_this_machine
    tcp-request connection track-sc0 src,ipmask(32,64) if !is_of_this_machine
    tcp-request connection reject if is_of_this_machine {{ sc0_conn_cur gt {room.of_this_machine} }}
    tcp-request connection reject if !is_of_this_machine {{ sc0_conn_cur gt {room.of_an_address} }}
    tcp-request connection reject if !is_of_this_machine {{ fe_conn gt {room.crowd} }} \
{{ sc0_conn_cur gt {room.when_crowded} }}
"""
