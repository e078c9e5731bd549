"""OpenAI's /v1/responses: what is asked there, and what is kept of it for a while.

Start at `asking.py`.
"""
