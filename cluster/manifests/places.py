"""Where pods have what is not in their image."""

VOLUME = "/var/lib/raylax"
"""Models, and with a claim what was compiled."""
SECRETS = "/etc/raylax"
KEYS_FILE = f"{SECRETS}/keys/keys.yaml"
TLS = f"{SECRETS}/tls"
SHARED_MEMORY = "/dev/shm"
