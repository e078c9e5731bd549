"""The application on Ray Serve: its deployments, their versions, and how they are put there.

Stands on `models` and `config`. Start at `app.py`.
"""
