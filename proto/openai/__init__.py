"""OpenAI's requests and responses, with the extensions that open-weights servers share.

A file for each endpoint; `shared.py` is below them. Imports `errors` and `vocabulary` only.
"""
