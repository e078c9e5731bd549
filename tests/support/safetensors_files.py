"""Files of safetensors with types that numpy has not."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def save_as(file: Path, tensors: Mapping[str, np.ndarray], types: Mapping[str, str] | str) -> None:
    """Arrays of bits, which are called so: some by their names, or all."""
    save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, file)
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for name in tensors:
        kind = types if isinstance(types, str) else types.get(name)
        header[name]["dtype"] = kind or header[name]["dtype"]
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
