"""One file and its flags, checked once. Start at `schema.py`."""
