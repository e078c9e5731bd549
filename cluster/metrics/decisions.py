"""The autoscaler's decisions: it writes them into Ray's store, where they outlive this process."""

import asyncio
from typing import Any

from raylax.cluster.autoscaling.on_serve.board import RayStore, decisions


async def kept_decisions() -> dict[str, list[dict[str, Any]]]:
    """Of each model by its served name, the oldest first."""
    return await asyncio.to_thread(decisions, RayStore())
