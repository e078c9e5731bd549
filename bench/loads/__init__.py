"""What `load.py` loads, and the process in which it does."""
