"""Which worker gets a request: policies by name. Adding one is one file here and a line below.

Stands on `fleet`, which is all that a policy looks at. Start at `base.py`.
"""

from raylax.router.policies.base import Policy
from raylax.router.policies.consistent_hash import consistent_hash
from raylax.router.policies.expected_latency import expected_latency
from raylax.router.policies.least_tokens import least_tokens
from raylax.router.policies.power_of_two import power_of_two
from raylax.router.policies.prefix_affinity import prefix_affinity
from raylax.router.policies.random_choice import random_choice
from raylax.router.policies.round_robin import round_robin

POLICIES: dict[str, Policy] = {
    "expected-latency": expected_latency,
    "prefix-affinity": prefix_affinity,
    "consistent-hash": consistent_hash,
    "least-tokens": least_tokens,
    "power-of-two": power_of_two,
    "round-robin": round_robin,
    "random": random_choice,
}
DEFAULT = "expected-latency"


def policy_named(name: str) -> Policy:
    """Raises ValueError for a name that no policy has."""
    if name not in POLICIES:
        raise ValueError(f"policy {name!r} is not known; known are {', '.join(sorted(POLICIES))}")
    return POLICIES[name]
