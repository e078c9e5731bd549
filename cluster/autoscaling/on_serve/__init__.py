"""The rule as Ray Serve asks it, in the process of Serve's controller. Start at `policy.py`."""
