"""Streams beside long prompts: what `bench/stall.py` is made of."""
