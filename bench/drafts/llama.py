"""llama.cpp's own speculation: a process for each answer, greedy, of the same text."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from engines.base import PeerFailed
from engines.processes import end, start

from drafts.loads import ANSWER, PROMPT

DECODED = re.compile(r"decoded +(\d+) tokens in +([\d.]+) seconds")
PATIENCE_S = 600.0


class LlamaSpeculation:
    """`llama-lookup`, or with a model that drafts `llama-speculative-simple`."""

    def __init__(
        self, binaries: Path, model: Path, draft: Path | None, longest: int, threads: int | None
    ) -> None:
        self.name = "llama-speculative-simple" if draft else "llama-lookup"
        self._command = [
            str(binaries / self.name), "-m", str(model), *(("-md", str(draft)) if draft else ()),
            "-n", str(ANSWER), "-c", str(2 * (PROMPT + ANSWER)), "-t",
            str(threads or len(os.sched_getaffinity(0))), "--temp", "0",
            "--spec-draft-n-max", str(longest),
        ]  # fmt: skip

    def pace(self, prompts: list[str], to_the_end: bool) -> float:
        """Tokens a second behind the prompts, one after the other; `to_the_end`: no further than
        where the model ends its answer."""
        more = [] if to_the_end else ["--ignore-eos"]
        told = [self._run(prompt, more) for prompt in prompts]
        return sum(tokens for tokens, _ in told) / sum(seconds for _, seconds in told)

    def _run(self, prompt: str, more: list[str]) -> tuple[int, float]:
        """Tokens and seconds."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(prompt)
            file.flush()
            process = start(
                [*self._command, *more, "-f", file.name],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            try:
                _, said = process.communicate(timeout=PATIENCE_S)
            finally:
                end(process)
        if process.returncode or not (found := DECODED.search(said)):
            raise PeerFailed(self.name, f"no figures in what it said: {said[-300:]}")
        return int(found[1]), float(found[2])
