"""Whether a machine fits into a cluster: plain functions of what both say. Each gives the line that
is wrong, or nothing."""

from collections.abc import Iterator, Mapping

from raylax.cluster.membership.said import Served

CLOCKS_S = 2.0
"""By which clocks may differ: the age of an answer, of a worker's report and of an event of a trace
is read off two of them."""


def wrong_versions(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    """What is another one here than there: answers must be the same wherever they are computed."""
    differ = [
        f"{name} {mine.get(name, 'none')}, not {theirs.get(name, 'none')}"
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]
    if differ:
        yield (
            "all machines of a cluster have the same versions, and this one has "
            f"{'; '.join(differ)}"
        )


def wrong_clock(ahead_s: float) -> Iterator[str]:
    """`ahead_s`: how far this machine's clock is before the first one's."""
    if abs(ahead_s) > CLOCKS_S:
        how = "ahead" if ahead_s > 0 else "behind"
        yield (
            f"the clocks of a cluster's machines may differ by {CLOCKS_S:g} s, and this one is "
            f"{abs(ahead_s):.1f} s {how} of the first one's; have both follow a time server (NTP)"
        )


def wrong_model(theirs: Served, model_id: str) -> Iterator[str]:
    """`model_id`: of what lies at the same path here."""
    if theirs.model_id != model_id:
        yield (
            f"{theirs.name}: what lies at {theirs.checkpoint} here is another model than there, or "
            "another revision of it"
        )
