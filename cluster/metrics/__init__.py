"""What every worker is and does, gathered in one place: /metrics, /cluster, `raylax status`."""
