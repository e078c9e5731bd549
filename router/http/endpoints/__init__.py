"""The endpoints, a file for each family of paths, which adds its routes. Start at
`completions.py`."""
