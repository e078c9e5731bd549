"""Why a call went where it did, as a header of its answer, if the client asks for that."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from starlette.requests import Request

from raylax.proto.timeline import Explanation
from raylax.proto.warnings import warn

EXPLAIN, EXPLANATION = "X-Raylax-Explain", "X-Raylax-Explanation"
MOST_BYTES = 6 << 10
"""Of the header. HAProxy keeps all of an answer's head in 16 KiB, and has a bare 500 for longer
ones."""


def is_wanted(request: Request) -> bool:
    return request.headers.get(EXPLAIN, "0") not in ("", "0", "false")


def explanation_header(explanations: Sequence[Explanation]) -> dict[str, str]:
    """The decisions as JSON, in their order, as many as a header may have; of others there is a
    warning."""
    written: list[str] = []
    left = MOST_BYTES
    for one in explanations:
        text = json.dumps(asdict(one))
        left -= len(text) + 2
        if left < 0:
            warn(
                f"{EXPLANATION}: has {len(written)} of {len(explanations)} decisions, "
                "/explain/CALL-ID has all of them"
            )
            break
        written.append(text)
    return {EXPLANATION: f"[{', '.join(written)}]"}
