"""The HTTP APIs over the models that a router serves.

Stands on `calls` and on what lies below it; never imports `grpc`. Start at `app.py`, then follow a
request through `handler.py` and `event_stream.py`.
"""
