"""A typed client for raylax.v1: `raylax.Client` and `raylax.AsyncClient`."""
