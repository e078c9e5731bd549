"""torch.distributed with gloo, in a Python that has torch."""

import os
from pathlib import Path

from ranks.base import Pair, Processes


class GlooSum:
    def __init__(self, meeting: str, rank: int) -> None:
        import torch
        import torch.distributed as distributed

        torch.set_num_threads(1)
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
        self._torch, self._distributed = torch, distributed

    def prepare(self, size: int) -> None:
        self._array = self._torch.zeros(size // 4)

    def __call__(self) -> None:
        self._distributed.all_reduce(self._array)


def gloo(directory: Path) -> Pair:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    meeting = f"file://{directory / 'meeting'}"
    return Processes(lambda rank: GlooSum(meeting, rank))
