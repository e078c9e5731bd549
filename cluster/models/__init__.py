"""Which model is meant, and its artefacts, made before anything starts. Start at `lookup.py`."""
