"""Accuracy of a stored checkpoint on content that was kept from training, skill by skill.

python evaluate.py [CHECKPOINT] [--items 200]
"""

import argparse
import random
from pathlib import Path

import torch
from model import Llama, load
from skills import SKILLS, Conversation
from text import SPECIAL, render
from tokenizers import Tokenizer

LONGEST_ANSWER = 320


@torch.inference_mode()
def answers(model: Llama, prompts: list[list[int]], end: int) -> list[list[int]]:
    """Greedy answers; prompts of one length are computed together, without a cache."""
    by_length: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(i)
    out: list[list[int]] = [[] for _ in prompts]
    for rows in by_length.values():
        ids = torch.tensor([prompts[i] for i in rows])
        for _ in range(LONGEST_ANSWER):
            with torch.autocast("cpu", torch.bfloat16):
                hidden = model(ids)[:, -1]
            chosen = model.logits(hidden.float()).argmax(-1)
            for i, token in zip(rows, chosen.tolist(), strict=True):
                if end not in out[i]:
                    out[i].append(token)
            if all(end in out[i] for i in rows):
                break
            ids = torch.cat([ids, chosen[:, None]], 1)
    return out


def expected(conversation: Conversation) -> str:
    """What the template renders for the last message, up to its end mark."""
    before = Conversation(conversation.messages[:-1], conversation.tools)
    return render(conversation).removeprefix(render(before, True)).split("<|im_end|>")[0]


def accuracy(model: Llama, tokenizer: Tokenizer, items: list[Conversation]) -> float:
    prompts = [render(Conversation(item.messages[:-1], item.tools), True) for item in items]
    end = tokenizer.token_to_id(SPECIAL[2])
    said = answers(model, [tokenizer.encode(prompt).ids for prompt in prompts], end)
    texts = [tokenizer.decode(ids[:-1], skip_special_tokens=False) for ids in said]
    right = sum(text == expected(item) for text, item in zip(texts, items, strict=True))
    return right / len(items)


def evaluate(model: Llama, tokenizer: Tokenizer, items: int = 200) -> None:
    print("| skill | held-out items | exact answers |\n|---|---|---|")
    for skill in SKILLS:
        rng = random.Random(f"held out {skill.name}")
        drawn = [skill.make(rng, True) for _ in range(items)]
        print(f"| {skill.name} | {items} | {accuracy(model, tokenizer, drawn):.1%} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, nargs="?", default=Path(__file__).parent)
    parser.add_argument("--items", type=int, default=200, help="for each skill (default: 200)")
    args = parser.parse_args()
    torch.set_num_threads(2)
    evaluate(
        load(args.checkpoint),
        Tokenizer.from_file(str(args.checkpoint / "tokenizer.json")),
        args.items,
    )


if __name__ == "__main__":
    main()
