"""From a command to a cluster that serves, and to its end with nothing left. Start at `launch.py`."""
