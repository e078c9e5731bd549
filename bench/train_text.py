"""Trains a small model on the text of Python's standard library: something to measure quality on.

    python bench/train_text.py OUT [--minutes 25] [--threads 1]

Needs the packages of deploy/demo_model/requirements.txt. The text is on any machine with Python:
the modules with their documentation strings, without tests and tables. A twentieth of the files,
chosen by a hash of their names, is kept from training; OUT/held_out.txt has them. Minutes are those
of the processor, so that a busy machine trains on as much text, only later. Ctrl-C writes nothing.
"""

import argparse
import hashlib
import json
import math
import sys
import sysconfig
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import Progress
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "deploy" / "demo_model"))
from model import Config, Llama, save
from train import HAS_BF16, optimiser_of, rate_at

VOCABULARY = 4096
BATCH, LENGTH = 2, 512
PEAK_RATE = 2e-3
END = "<|endoftext|>"
LEFT_OUT = {"site-packages", "test", "tests", "idle_test", "encodings"}


def held_out(name: str) -> bool:
    return hashlib.sha256(name.encode()).digest()[0] < 256 // 20


def library() -> dict[str, str]:
    """The text of every module, by its path below the standard library."""
    root = Path(sysconfig.get_paths()["stdlib"])
    files = {str(path.relative_to(root)): path for path in sorted(root.rglob("*.py"))}
    return {
        name: path.read_text(errors="replace")
        for name, path in files.items()
        if not LEFT_OUT & set(Path(name).parts)
    }


def train_tokenizer(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        show_progress=False,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def batches(ids: Tensor) -> Iterator[Tensor]:
    """[BATCH, LENGTH + 1] of the text, from anywhere, for ever."""
    while True:
        starts = torch.randint(len(ids) - LENGTH, (BATCH,))
        yield torch.stack([ids[start : start + LENGTH + 1] for start in starts])


def loss_of(model: Llama, batch: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16):
        logits = model.logits(model(batch[:, :-1]))
    return F.cross_entropy(logits.float().flatten(0, 1), batch[:, 1:].flatten())


def train(model: Llama, ids: Tensor, seconds: float, threads: int) -> None:
    """The learning rate follows the processor's clock, which all threads advance together."""
    optimiser, average = optimiser_of(model), math.log(VOCABULARY)
    with Progress() as progress:
        bar = progress.add_task("train", total=seconds)
        begin = time.process_time()
        for step, batch in enumerate(batches(ids)):
            passed = (time.process_time() - begin) / threads
            if passed >= seconds:
                break
            for group in optimiser.param_groups:
                group["lr"] = rate_at(passed / seconds, PEAK_RATE)
            loss = loss_of(model, batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            average = 0.98 * average + 0.02 * loss.item()
            said = f"{step * BATCH * LENGTH / 1e6:.2f}M tokens, perplexity {math.exp(average):.1f}"
            progress.update(bar, completed=passed, description=said)


def write(out: Path, model: Llama, tokenizer: Tokenizer, kept: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END}
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    (out / "held_out.txt").write_text("\n".join(kept))
    end = tokenizer.token_to_id(END)
    save(model, out, {"bos_token_id": end, "eos_token_id": end})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path, help="checkpoint directory")
    parser.add_argument("--minutes", type=float, default=25, help="of the processor (default: 25)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    texts = library()
    learned = [text for name, text in texts.items() if not held_out(name)]
    kept = [text for name, text in texts.items() if held_out(name)]
    tokenizer = train_tokenizer(learned)
    ids = torch.tensor(tokenizer.encode(END.join(learned)).ids)
    model = Llama(Config(vocab=VOCABULARY, layers=6, context=LENGTH))
    size = sum(weight.numel() for weight in model.parameters())
    print(f"{len(ids) / 1e6:.1f}M tokens of {len(learned)} files, {size / 1e6:.1f}M parameters")
    train(model, ids, args.minutes * 60, args.threads)
    write(args.out, model, tokenizer, kept)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was written")
