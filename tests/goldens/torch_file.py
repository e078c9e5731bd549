"""Writes what `torch.save` makes of tensors of all kinds, and their numbers: torch.bin, torch.npz.

python tests/goldens/torch_file.py      # in an environment with torch
"""

from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent


def main() -> None:
    torch.manual_seed(0)
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    tensors = {
        "a": torch.randn(4, 6),
        "b": torch.randn(3, 5).half(),
        "c": torch.randn(7).bfloat16(),
        "t": base.t(),
        "v": base[1:3, 2:4],
        "p": torch.nn.Parameter(torch.ones(2, 2)),
        "n": torch.arange(3),
    }
    torch.save({**tensors, "tied": tensors["a"]}, HERE / "torch.bin")
    numbers = {name: one.detach().float().numpy() for name, one in tensors.items()}
    np.savez(HERE / "torch.npz", **numbers)


if __name__ == "__main__":
    main()
