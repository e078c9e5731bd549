"""OpenAI's /v1/files and /v1/batches. Start at `files.py`."""
