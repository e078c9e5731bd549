"""HAProxy is commanded by Serve alone, and tells nobody else anything.

Serve's template opens a socket to every user of the machine by which all traffic can be sent
elsewhere, and two ports that show statistics to whoever asks. Here the socket is for its owner, and
at the level at which Serve asks for states and statistics; the ports are not opened. To be called
in every process of Serve, before it writes HAProxy's configuration.
"""

import re

from raylax.cluster.ray_patches.replacing import put

OPEN = "mode 666 level admin"
CLOSED = "mode 600 level user"
"""`show stat`, `show info` and `show servers state` need no more; nor does handing listening
sockets to HAProxy's successor, which is a right of its own (`expose-fd listeners`)."""

STATISTICS = re.compile(r"^(?:frontend prometheus|listen stats)\n(?:[ \t]+.*\n)*", re.MULTILINE)


def close_the_admin_socket() -> None:
    """Changes HAProxy's template."""
    from ray.serve._private import haproxy_templates

    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    put(haproxy_templates, "HAPROXY_CONFIG_TEMPLATE", closed(template))


def closed(template: str) -> str:
    """With a private socket, and without pages of statistics."""
    return STATISTICS.sub("", template.replace(OPEN, CLOSED))
