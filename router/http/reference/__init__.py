"""What the APIs are, for machines at /openapi.json and for people at /docs.

Both are made of the routes and of the models that validate bodies: `document.py` has the first,
`page.py` makes the second of it, `endpoints.py` adds them to the routes.
"""
