"""The endpoints, a file or a folder for each family of paths, which adds its routes. Start at
`completions.py`."""
