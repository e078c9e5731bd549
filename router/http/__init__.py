"""The HTTP APIs over a Service, a file for each."""
