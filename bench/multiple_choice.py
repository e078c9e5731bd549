"""lm-eval's multiple choice through raylax, beside transformers on the same weights.

    pip install 'lm-eval[api]' torch transformers gguf                  # in an environment of its own
    raylax serve FILE.gguf --served-model-name model --quantization q0f32
    python bench/multiple_choice.py FILE.gguf --lm-eval VENV/bin/lm_eval [--url URL] [--model model]

No data set is fetched: the questions are sums and capitals, and the wrong answers to a question are
right ones of others. Each choice is scored by its log-probability behind the question, as
`local-completions` asks for it: by `/v1/completions` with `echo` and `logprobs`, with the tokenizer
that `/tokenizer_info` tells of. Exits with 1 where the two choose otherwise in a question that is
no tie.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Greece": "Athens",
    "Norway": "Oslo", "Austria": "Vienna", "Japan": "Tokyo", "China": "Beijing", "Egypt": "Cairo",
    "Russia": "Moscow", "Poland": "Warsaw", "Portugal": "Lisbon", "Hungary": "Budapest",
    "Ireland": "Dublin", "Cuba": "Havana", "Peru": "Lima", "Kenya": "Nairobi", "India": "New Delhi",
    "Sweden": "Stockholm", "Finland": "Helsinki", "Denmark": "Copenhagen", "Iran": "Tehran",
    "Canada": "Ottawa",
}  # fmt: skip
CHOICES = 4
TIE = 0.05
"""Between the log-probabilities of two choices, where orders of sums decide."""
TASK = """task: raylax_choices
dataset_path: json
dataset_kwargs: {data_files: {test: %s}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{answer}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


class Scored(NamedTuple):
    """What one of them makes of a question."""

    right: bool
    logprobs: list[float]
    """Of each choice."""

    @property
    def chosen(self) -> int:
        return self.logprobs.index(max(self.logprobs))


def questions(sums: int) -> Iterator[dict[str, Any]]:
    """The same ones each time."""
    rng = random.Random(1)
    for country, capital in CAPITALS.items():
        others = [one for one in CAPITALS.values() if one != capital]
        yield asked(rng, f"The capital of {country} is the city of", capital, others)
    for _ in range(sums):
        a, b = rng.randrange(1, 50), rng.randrange(1, 50)
        near = [str(a + b + by) for by in (-10, -2, -1, 1, 2, 10) if a + b + by > 0]
        yield asked(rng, f"2 + 3 = 5\n10 + 7 = 17\n{a} + {b} =", str(a + b), near)


def asked(rng: random.Random, question: str, right: str, others: list[str]) -> dict[str, Any]:
    choices = [right, *rng.sample(others, CHOICES - 1)]
    rng.shuffle(choices)
    return {"question": question, "choices": choices, "answer": choices.index(right)}


def scored(lm_eval: Path, place: Path, name: str, kind: str, model: dict[str, Any]) -> list[Scored]:
    """By lm-eval, in the order of the questions. Raises CalledProcessError."""
    out = place / name
    told = ",".join(f"{key}={value}" for key, value in model.items())
    command = [
        str(lm_eval), "--model", kind, "--model_args", told, "--include_path", str(place),
        "--tasks", "raylax_choices", "--output_path", str(out), "--log_samples", "--batch_size", "1",
    ]  # fmt: skip
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(place / "cache")}
    subprocess.run(command, check=True, env=os.environ | offline, stdout=subprocess.DEVNULL)
    (samples,) = out.rglob("samples_*.jsonl")
    lines = sorted(map(json.loads, samples.read_text().splitlines()), key=lambda one: one["doc_id"])
    return [
        Scored(one["acc"] == 1, [float(score) for score, _ in one["filtered_resps"]])
        for one in lines
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="the GGUF file that is served")
    parser.add_argument("--lm-eval", type=Path, required=True, help="its command")
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="model", help="its name there")
    parser.add_argument("--sums", type=int, default=40, help="questions beside 24 capitals (40)")
    args = parser.parse_args()
    file, console = args.file.resolve(), Console()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        asks = list(questions(args.sums))
        (place / "test.jsonl").write_text("".join(json.dumps(one) + "\n" for one in asks))
        (place / "task.yaml").write_text(TASK % (place / "test.jsonl"))
        served = {"model": args.model, "base_url": f"{args.url}/v1/completions"}
        ours = scored(args.lm_eval, place, "raylax", "local-completions", {
            **served, "tokenizer_backend": "remote", "num_concurrent": 4,
        })  # fmt: skip
        theirs = scored(args.lm_eval, place, "transformers", "hf", {
            "pretrained": file.parent, "gguf_file": file.name, "dtype": "float32",
        })  # fmt: skip
    table = Table("", "accuracy", box=SIMPLE_HEAD)
    for name, each in (("raylax", ours), ("transformers", theirs)):
        table.add_row(name, f"{sum(one.right for one in each)} of {len(each)}")
    console.print(table)
    apart = [
        abs(x - y)
        for a, b in zip(ours, theirs, strict=True)
        for x, y in zip(a.logprobs, b.logprobs, strict=True)
    ]
    console.print(f"greatest difference of a log-probability: {max(apart):.2g}")
    others = [
        ask["question"]
        for ask, a, b in zip(asks, ours, theirs, strict=True)
        if a.chosen != b.chosen and b.logprobs[b.chosen] - b.logprobs[a.chosen] > TIE
    ]
    for question in others:
        console.print(f"chosen otherwise: {question!r}")
    sys.exit(bool(others))


if __name__ == "__main__":
    main()
