"""Workers that can be killed, stopped, drained and cut off: what `bench/chaos.py` is made of."""
