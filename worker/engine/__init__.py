"""The threaded engine: a thread that computes, a thread that hands tokens back.

Stands on `ranks` and `scheduling`, and knows neither Ray nor sockets. Start at
`threaded_engine.py`, then `loop.py`, what it does (`operations.py`) and what it says (`teller.py`).
"""
