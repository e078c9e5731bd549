"""Policies by name. Adding one is one file here and a line below."""

from collections.abc import Callable

from raylax.router.policies.least_load import LeastLoad
from raylax.router.policies.round_robin import RoundRobin
from raylax.router.policy import Policy

POLICIES: dict[str, Callable[[], Policy]] = {
    "least-load": LeastLoad,
    "round-robin": RoundRobin,
}


def policy_named(name: str) -> Policy:
    if name not in POLICIES:
        raise ValueError(f"policy {name!r} is not known; known are {', '.join(sorted(POLICIES))}")
    return POLICIES[name]()
