"""A model's weights on a device: where each of them lies, and how they come there out of a
checkpoint. Start at `places.py`."""
