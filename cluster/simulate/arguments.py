"""From the words of a command line to a Study; mistakes are named."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast, get_args

from raylax.cluster.errors import UserError
from raylax.cluster.simulate.profile import profile_named
from raylax.cluster.simulate.study import Study
from raylax.cluster.simulate.trace import Shape
from raylax.router.policies import POLICIES

LEAST, MOST = 0.01, 100_000
"""Of loads in percent, numbers of routers and milliseconds: beyond, nothing is simulated well."""
Value = TypeVar("Value", int, float)


def study_of(
    trace: Path,
    policy: str,
    load: str,
    routers: str,
    replicas: int,
    requests: int,
    arrivals: str,
    report_delay_ms: float,
    profile: str,
    seed: int,
) -> Study:
    """What a command line asks for; names are those of its options. Raises UserError."""
    if arrivals not in get_args(Shape):
        shapes = ", ".join(get_args(Shape))
        raise UserError(f"--arrivals must be one of {shapes}, found {arrivals}")
    if not 0 <= report_delay_ms <= MOST:
        rule = "must not be negative" if report_delay_ms < 0 else f"must be at most {MOST}"
        raise UserError(f"--report-delay-ms {rule}, found {report_delay_ms:g}")
    return Study(
        trace=trace,
        policies=policies(policy),
        loads=numbers("--load", load, float),
        routers=numbers("--routers", routers, int),
        replicas=replicas,
        requests=requests,
        shape=cast(Shape, arrivals),
        delay_s=report_delay_ms / 1000,
        profile=profile_named(profile),
        seed=seed,
    )


def policies(text: str) -> tuple[str, ...]:
    """Names with commas between, or `all`. Raises UserError."""
    names = tuple(POLICIES) if text == "all" else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in POLICIES:
            known = ", ".join(sorted(POLICIES))
            raise UserError(f"--policy must be all, or some of {known}, found {name}")
    return names


def numbers(option: str, text: str, kind: Callable[[str], Value]) -> tuple[Value, ...]:
    """Numbers from LEAST to MOST with commas between, each once. Raises UserError."""
    try:
        found = tuple(dict.fromkeys(kind(part) for part in text.split(",")))
    except ValueError:
        raise UserError(f"{option} must be numbers with commas between, found {text}") from None
    if min(found) <= 0:
        raise UserError(f"{option} must be above 0, found {text}")
    if not all(LEAST <= number <= MOST for number in found):
        raise UserError(f"{option} must be from {LEAST} to {MOST}, found {text}")
    return found
