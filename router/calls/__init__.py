"""A call from its admission to its end: its requests are placed, journalled, hedged, and moved
when a worker is lost.

Stands on `workers` and all below; knows no HTTP and no gRPC. Start at `service.py`, then
`runner.py`.
"""
