"""What a terminal shows of a running cluster, second by second: `status --watch` and `top`."""
