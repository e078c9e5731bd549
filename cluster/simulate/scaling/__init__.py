"""Rules of how many workers there should be, on a fleet whose workers come and go: `raylax replay
--autoscale`. Start at `fleet.py`, then `rules.py`, `oracle.py` and `comparison.py`."""
