"""Checkpoints that lie: small valid ones, changed in their structure, and read."""
