"""Trains the demo model on text that it generates, then measures it.

    python train.py --out . --minutes 60

Needs the packages of requirements.txt. The learning rate follows the clock, so that a slower
machine trains on less text, not for longer. Ctrl-C leaves the files in --out as they were.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from evaluate import ITEMS, evaluate
from model import Config, Llama, load, save
from skills import draw
from text import SPECIAL, encode, train_tokenizer, write_tokenizer
from tokenizers import Tokenizer
from torch import Tensor

BATCH_TOKENS = 4096
POOL = 2048
PEAK_RATE = 2e-3
HAS_BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Whether this CPU multiplies in bf16; where it does not, f32 is faster."""


def batches(tokenizer: Tokenizer, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(ids, learned), both [conversations, length]; conversations of like length share a batch."""
    rng = random.Random(seed)
    while True:
        pool = sorted(
            (encode(tokenizer, draw(rng)) for _ in range(POOL)), key=lambda item: len(item[0])
        )
        groups, group = [], []
        for item in pool:
            if group and (len(group) + 1) * len(item[0]) > BATCH_TOKENS:
                groups.append(group)
                group = []
            group.append(item)
        groups.append(group)
        rng.shuffle(groups)
        for group in groups:
            length = max(len(ids) for ids, _ in group)
            ids = torch.zeros(len(group), length, dtype=torch.long)
            learned = torch.zeros(len(group), length, dtype=torch.bool)
            for row, (tokens, mask) in enumerate(group):
                ids[row, : len(tokens)] = torch.tensor(tokens)
                learned[row, : len(tokens)] = torch.tensor(mask)
            yield ids, learned


def loss_of(model: Llama, ids: Tensor, learned: Tensor) -> Tensor:
    """Mean cross-entropy of the assistants' tokens; logits are computed for those alone."""
    with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16):
        hidden = model(ids[:, :-1])[learned[:, 1:]]
        logits = model.logits(hidden)
    return F.cross_entropy(logits.float(), ids[:, 1:][learned[:, 1:]])


def rate_at(progress: float, peak: float) -> float:
    warm_up = min(1.0, progress / 0.02)
    return peak * warm_up * (0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2)


def optimiser_of(model: Llama) -> torch.optim.AdamW:
    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    vectors = [weight for weight in model.parameters() if weight.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0, betas=(0.9, 0.95), fused=True)


def train(model: Llama, tokenizer: Tokenizer, minutes: float, peak: float) -> None:
    optimiser = optimiser_of(model)
    begin, tokens, average = time.monotonic(), 0, 0.0
    for step, (ids, learned) in enumerate(batches(tokenizer, random.randrange(1 << 30))):
        passed = time.monotonic() - begin
        if passed >= minutes * 60:
            break
        for group in optimiser.param_groups:
            group["lr"] = rate_at(passed / (minutes * 60), peak)
        loss = loss_of(model, ids, learned)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        tokens += ids.numel()
        average = 0.98 * average + 0.02 * loss.item() if step else loss.item()
        if step % 20 == 0:
            speed = tokens / (time.monotonic() - begin)
            line = f"step {step:6d}  loss {average:.4f}  {speed:6.0f} tokens/s  {tokens / 1e6:6.1f}M tokens"
            left = f"{minutes - passed / 60:5.1f} minutes left"
            print(f"\r{line}  {left}", end="" if sys.stdout.isatty() else "\n", flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="checkpoint directory"
    )
    parser.add_argument("--minutes", type=float, default=60, help="of training (default: 60)")
    parser.add_argument("--resume", type=Path, help="go on from this checkpoint, at half the rate")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    seed = 1 if args.resume else 0
    torch.manual_seed(seed)
    random.seed(seed)
    if args.resume:
        tokenizer = Tokenizer.from_file(str(args.resume / "tokenizer.json"))
        model = load(args.resume).train()
    else:
        tokenizer, model = train_tokenizer(), Llama(Config())
    size = sum(weight.numel() for weight in model.parameters())
    print(f"{size / 1e6:.2f}M parameters, vocabulary {tokenizer.get_vocab_size()}")
    train(model, tokenizer, args.minutes, PEAK_RATE / 2 if args.resume else PEAK_RATE)
    args.out.mkdir(parents=True, exist_ok=True)
    pad, start, end = (tokenizer.token_to_id(text) for text in SPECIAL)
    write_tokenizer(tokenizer, args.out, model.c.context)
    save(model, args.out, {"bos_token_id": pad, "eos_token_id": end, "pad_token_id": pad})
    evaluate(args.out, ITEMS)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
