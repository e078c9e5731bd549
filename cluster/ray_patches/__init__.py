"""Where Ray is changed: kept on loopback, given fewer processes, shown our certificate.

Everything that reaches into Ray's own code is here and nowhere else. Start at `worker_setup.py`.
"""
