"""From a command to a cluster that serves, and to its end, with nothing left.

Stands on `application`, `models` and `ray_patches`. Start at `launch.py`.
"""
