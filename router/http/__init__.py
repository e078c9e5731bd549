"""OpenAI's HTTP API over a Service."""
