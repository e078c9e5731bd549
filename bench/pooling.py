"""What a mean over all tokens costs, beside the state of the last one.

    python bench/pooling.py CHECKPOINT [--texts 32] [--shared 384] [--own 128] [--rounds 3]

Texts have their beginning in common, as those with one instruction do, and an end of their own. For
the last token's state the beginning is found in the prefix cache; for a mean it is computed again.
"""

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Literal

from raylax import EngineConfig, MLCEngine

How = Literal["last", "mean"]


def texts_of(count: int, shared: int, own: int, vocab: int, seed: int) -> list[list[int]]:
    """So many texts, in token ids."""
    rng = random.Random(seed)

    def ids(length: int) -> list[int]:
        return [rng.randrange(vocab) for _ in range(length)]

    beginning = ids(shared)
    return [beginning + ids(own) for _ in range(count)]


def seconds(engine: MLCEngine, texts: Sequence[Sequence[int]]) -> float:
    begun = time.perf_counter()
    engine.embeddings.create(input=[list(one) for one in texts])
    return time.perf_counter() - begun


def tokens_per_second(options: argparse.Namespace, how: How) -> tuple[float, float]:
    """Of texts: with nothing in common, and with a beginning that is in the cache."""
    longest = options.shared + options.own + 1
    config = EngineConfig(pooling=how, max_single_sequence_length=longest)
    of_rounds = []
    with MLCEngine(str(options.checkpoint), device="cpu", mode="server", engine_config=config) as e:
        vocab, tokens = e.tokenizer.size, options.texts * (options.shared + options.own)
        for seed in range(options.rounds):
            apart = texts_of(options.texts, 0, options.shared + options.own, vocab, seed)
            known, *others = texts_of(options.texts + 1, options.shared, options.own, vocab, seed)
            alone = seconds(e, apart)
            seconds(e, [known])
            of_rounds.append((tokens / alone, tokens / seconds(e, others)))
    first, second = zip(*of_rounds, strict=True)
    return median(first), median(second)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    for name, default in (("texts", 32), ("shared", 384), ("own", 128), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    last, mean = tokens_per_second(options, "last"), tokens_per_second(options, "mean")
    print(f"tokens/s of {options.texts} texts of {options.shared} + {options.own} tokens")
    for what, of_last, of_mean in zip(("nothing shared", "shared"), last, mean, strict=True):
        print(f"{what}: last {of_last:.0f}, mean {of_mean:.0f}, {of_mean / of_last:.2f}x")


if __name__ == "__main__":
    main()
