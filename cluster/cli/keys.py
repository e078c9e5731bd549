"""`raylax key`: a new API key, and what the configuration is told of it."""

import secrets

from raylax.cluster.config.reading import checked
from raylax.cluster.config.sections import KeyEntry
from raylax.router.access.keys import hash_of

PREFIX = "rlx-"
"""How every key begins: people, and scanners for leaked secrets, know it by that."""
BYTES = 32


def make_key(name: str, admin: bool) -> None:
    """Prints both. Raises UserError for a name that cannot be one."""
    secret = PREFIX + secrets.token_urlsafe(BYTES)
    entry = checked(KeyEntry, {"name": name, "sha256": hash_of(secret)}, None)
    print(f"# The key, shown this once; below it what raylax.yaml is told of it.\n# {secret}\n")
    print(f'keys:\n  - name: "{entry.name}"\n    sha256: "{entry.sha256}"')
    if admin:
        print("    admin: true")
