"""llama.cpp by its own llama-batched-bench: a process for each measurement, which it warms up."""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Self

from engines.base import Load, Measurement, PeerFailed
from engines.processes import end, last_error, start


class LlamaCpp:
    def __init__(self, binary: Path, model: Path, threads: int) -> None:
        self.name = f"llama.cpp {model.stem}"
        self._binary, self._model, self._threads = binary, model, threads

    def __enter__(self) -> Self:
        """Into the page cache, as the others' weights are."""
        try:
            with self._model.open("rb") as file:
                while file.read(1 << 24):
                    pass
        except OSError as error:
            raise PeerFailed(self.name, str(error)) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing runs between measurements."""

    def measure(self, load: Load) -> Measurement:
        said, cpu_s, peak_mb = self._run(load)
        found = re.findall(r"^\{.*\}$", said, re.M)
        if not found:
            raise PeerFailed(self.name, f"no figures in what it said: {said[-200:]}")
        speed = json.loads(found[-1])["speed_pp" if load.is_prefill else "speed_tg"]
        return Measurement(speed, cpu_s, peak_mb)

    def _run(self, load: Load) -> tuple[str, float, float]:
        """Its output, processor seconds and peak memory."""
        command = [str(self._binary), *self._options(load), "--output-format", "jsonl"]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            try:
                process = start(command, stdout=out, stderr=errors)
            except OSError as error:
                raise PeerFailed(self.name, str(error)) from error
            try:
                _, status, used = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            finally:
                if process.returncode is None:
                    end(process)
            if process.returncode:
                raise PeerFailed(self.name, f"{last_error(errors)} ({process.returncode})")
            out.seek(0)
            return out.read(), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024

    def _options(self, load: Load) -> list[str]:
        room = load.sequences * (load.prompt + load.answer) + 64
        options = {
            "-m": self._model, "-t": self._threads, "-tb": self._threads, "-b": 2048, "-ub": 512,
            "-c": room, "-npp": load.prompt, "-ntg": load.answer, "-npl": load.sequences,
        }  # fmt: skip
        return [str(part) for pair in options.items() for part in pair]
