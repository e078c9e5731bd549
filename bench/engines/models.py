"""What is measured when nobody names a model, and the same weights for llama.cpp."""

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]


def default_checkpoint() -> Path:
    """Of the Qwen2.5-0.5B shape, made once and kept in the store."""
    from raylax.kernels.store import default_root

    path = default_root() / "bench" / "qwen2.5-0.5b"
    if not (path / "model.safetensors").exists():
        print(f"making a checkpoint of random weights in {path}", file=sys.stderr)
        run("checkpoint.py", path, "--shape", "qwen2.5-0.5b")
    return path


def bf16_gguf(checkpoint: Path, directory: Path) -> Path:
    run("gguf_file.py", checkpoint, path := directory / "bf16.gguf")
    return path


def run(script: str, *arguments: Path | str) -> None:
    done = subprocess.run([sys.executable, BENCH / script, *arguments], stderr=subprocess.PIPE)
    if done.returncode:
        said = done.stderr.decode().strip().splitlines() or [f"it ended with {done.returncode}"]
        sys.exit(f"{script}: {said[-1]}")
