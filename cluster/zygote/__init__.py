"""Ray's workers are forked from a process that has imported already what they all import.

Each of them would import Ray twice, Serve and us: seconds of a core, six times at a start. Stands
on `supervision` and `environment`. Start at `server.py`; `asking.py` is what a raylet runs,
`becoming.py` what a child does.
"""
