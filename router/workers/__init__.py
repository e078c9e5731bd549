"""The live workers: a connection to each, what they report, and when to leave one alone.

Stands on `resume`, `policies` and `fleet`; knows nothing of calls but their inbox. Start at
`registry.py`.
"""
