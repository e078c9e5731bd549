"""OpenVINO GenAI's continuous batching, in the Python that has it: `-m engines.openvino OPTIONS`."""

import json
import time
from pathlib import Path
from typing import Any

from engines.base import Options
from engines.child import EngineChild
from engines.inside import Times, serve

GIB = 1 << 30


def openvino(python: Path, options: Options) -> EngineChild:
    name = f"OpenVINO {Path(options.model).name}"
    return EngineChild(name, python, "engines.openvino", options)


def cache_gib(options: Options) -> int:
    """Room for every sequence in f32, so that no choice of OpenVINO's can make one wait."""
    config = json.loads((Path(options.model) / "config.json").read_text())
    heads = config["num_attention_heads"]
    dim = config.get("head_dim") or config["hidden_size"] // heads
    numbers: int = 2 * config["num_hidden_layers"] * config.get("num_key_value_heads", heads) * dim
    return -(-numbers * 4 * options.sequences * options.length // GIB)


class OpenVINO:
    """Its pipeline is stepped here, so that the moment of every token is known."""

    def __init__(self, options: Options) -> None:
        import openvino as ov
        import openvino_genai as genai

        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = cache_gib(options)
        scheduler.max_num_seqs = options.sequences
        scheduler.max_num_batched_tokens = 2048
        scheduler.dynamic_split_fuse = True
        scheduler.enable_prefix_caching = False
        can = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = "bf16" if "BF16" in can and options.quantization != "q0f32" else "f32"
        properties = {
            "INFERENCE_NUM_THREADS": options.threads, "INFERENCE_PRECISION_HINT": precision
        }  # fmt: skip
        begun = time.perf_counter()
        self._pipeline = genai.ContinuousBatchingPipeline(
            options.model, scheduler, "CPU", properties
        )
        self.facts = {"loaded_s": time.perf_counter() - begun, "precision": precision}
        self._asked = 0

    def run(self, prompts: list[list[int]], answer: int) -> Times:
        handles = [self._ask(prompt, answer) for prompt in prompts]
        times: Times = [[] for _ in handles]
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            now = time.perf_counter()
            for handle, moments in zip(handles, times):  # noqa: B905
                while handle.can_read():
                    for output in handle.read().values():
                        moments += [now] * len(output.generated_ids)
        if any(len(moments) != answer for moments in times):
            raise RuntimeError(f"asked for {answer} tokens, got {[len(one) for one in times]}")
        return times

    def _ask(self, prompt: list[int], answer: int) -> Any:
        import numpy as np
        import openvino as ov
        import openvino_genai as genai

        config = genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos, config.do_sample = answer, True, False
        self._asked += 1
        ids = ov.Tensor(np.array([prompt], dtype=np.int64))
        return self._pipeline.add_request(self._asked, ids, config)


if __name__ == "__main__":
    serve(OpenVINO)
