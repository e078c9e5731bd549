"""What the autoscaler decided, as operators ask for it."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from raylax.router.calls.models import Models
from raylax.router.config import RouterConfig
from raylax.router.http.endpoints.cluster import NoCluster
from tests.support.router_rig import PATIENCE_S, running_http

TOLD = {"chat": [{"at_s": 100.0, "choice": 1}, {"at_s": 160.0, "choice": 3}], "code": []}


class Scaled(NoCluster):
    """A cluster of two models, of one of which something was decided."""

    async def scaling(self) -> dict[str, list[dict[str, Any]]]:
        return TOLD


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 200, TOLD),
        ("?model=chat", 200, {"chat": TOLD["chat"]}),
        ("?model=chat&at=159.9", 200, {"chat": TOLD["chat"][:1]}),
        ("?model=chat&at=1e9", 200, {"chat": TOLD["chat"][1:]}),
        ("?model=none", 404, "model: nothing was decided for 'none'; there is chat, code"),
        ("?at=99&model=chat", 404, "decisions for 'chat' are known from 100 on, found 99"),
        ("?model=code&at=99", 404, "decisions for 'code' are known from none yet on, found 99"),
        ("?at=yesterday", 400, "at must be seconds since 1970, as 1796000000, found 'yesterday'"),
        ("?at=nan", 400, "at must be seconds since 1970"),
    ],
)
async def test_decisions_by_model_and_time(
    query: str, status: int, said: Any, checkpoint: Path
) -> None:
    models = Models([RouterConfig("tiny", str(checkpoint), "")])
    async with (
        running_http(models, Scaled()) as url,
        httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client,
    ):
        reply = await client.get(f"/cluster/scaling{query}")

    assert reply.status_code == status, reply.text
    if status == 200:
        assert reply.json() == {"models": said}
    else:
        assert said in reply.json()["error"]["message"]
