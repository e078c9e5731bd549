"""Recorded requests on simulated engines, sent by the routers' own code: `raylax replay`.

Stands on nothing of this part but `autoscaling`, `address` and `errors`. Start at `README.md`, then
`replay.py`, and for rules of scaling `scaling/fleet.py`.
"""
