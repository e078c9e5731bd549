"""Machines that join a cluster (`raylax join`): what both sides say, and whether it fits.

The first machine has a door for them, at which only who has the cluster's secret is heard, by TLS
as between workers. It tells all that a machine must know before it starts a part of Ray; a machine
stays connected as long as it is one of the cluster. Ray itself is met elsewhere, and not imported
here. Start at `said.py`, then `door.py` and `visit.py`.
"""
