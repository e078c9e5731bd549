"""OpenAI's requests and responses, with the extensions that open-weights servers share.

A file for each endpoint, on top of `shared.py`; `parsing.py` makes requests of bodies. Imports
`errors` and `vocabulary` alone.
"""
