"""The gRPC APIs: raylax's own and the engine protocol of model gateways.

Stands on `calls`; never imports `http`. Start at `server.py`.
"""
