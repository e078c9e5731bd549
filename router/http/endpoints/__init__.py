"""One file for each family of paths; each adds its routes. Start at `completions.py`."""
