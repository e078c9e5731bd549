"""How many workers there should be: a plain function of what they report. Start at `policy.py`."""
