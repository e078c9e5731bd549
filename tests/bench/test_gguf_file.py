"""What `bench/gguf_file.py` reads; the package that writes GGUF is not needed for it."""

import json
import runpy
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "gguf_file.py"


def test_a_header_may_say_more_than_where_tensors_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As transformers writes it: with `__metadata__`, which is no tensor."""
    monkeypatch.setitem(sys.modules, "gguf", MagicMock())
    entry = {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}
    header = json.dumps({"__metadata__": {"format": "pt"}, "norm": entry}).encode()
    bits = np.array([0x3F80, 0xC000], np.uint16).tobytes()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bits)
    ((name, values),) = runpy.run_path(str(SCRIPT))["read_tensors"](path)

    assert name == "norm"
    assert values.tolist() == [[1.0, -2.0]]
