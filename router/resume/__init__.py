"""Answers that outlive their client, and may be read on at any router.

Stands on `observe`. Start at `kept_answers.py`.
"""
