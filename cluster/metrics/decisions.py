"""What the autoscaler decides and expects: it writes both into Ray's store, where they outlive this
process."""

import asyncio
from typing import Any

from raylax.cluster.autoscaling.on_serve.board import RayStore, decisions, outlooks
from raylax.proto.wire.outlook import Outlook


async def kept_decisions() -> dict[str, list[dict[str, Any]]]:
    """Of each model by its served name, the oldest first."""
    return await asyncio.to_thread(decisions, RayStore())


async def kept_outlooks() -> dict[str, Outlook]:
    """What is to be expected of each model's workers."""
    return await asyncio.to_thread(outlooks, RayStore())
