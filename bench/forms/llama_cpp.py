"""llama.cpp's own grammar, by its llama-completion: a process for each answer."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

PROMPT = "one two three four five six seven eight nine ten " * 6
TIMES = re.compile(r"(prompt eval|total) time = +([0-9.]+) ms")
RUNS = re.compile(r"eval time = +[0-9.]+ ms / +([0-9]+) runs")


def tokens_a_second(
    binary: Path, model: Path, tokens: int, threads: int, schema: dict[str, Any] | None = None
) -> float:
    """Of an answer behind its prompt: what its steps, its grammar and its sampler take."""
    options = {"-m": model, "-t": threads, "-c": 1024, "-n": tokens, "--temp": 1, "--seed": 1}
    command = [str(binary), *(str(part) for pair in options.items() for part in pair)]
    # weights as they are in the file: those that it packs for AMX some of its builds cannot multiply
    command += ["-p", PROMPT, "-no-cnv", "--ignore-eos", "--perf", "--no-repack"]
    if schema is not None:
        command += ["--json-schema", json.dumps(schema)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    said = done.stderr + done.stdout
    took, runs = {one[1]: float(one[2]) for one in TIMES.finditer(said)}, RUNS.search(said)
    if done.returncode or runs is None:
        raise SystemExit(f"{binary} ended with {done.returncode}: {said[-300:]}")
    return int(runs[1]) / (took["total"] - took["prompt eval"]) * 1e3
